import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from own_make import own_make_environ
from places import ROOT
from tune.jax_phase12 import JaxSpec

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(
    *arguments: str, bin_dir: Path, driver_says: str | None = None, status: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run make where nvidia-smi, the first on the path, prints this and ends so."""
    if driver_says is not None:
        script = bin_dir / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho '{driver_says}'\nexit {status}\n")
        script.chmod(0o755)
    return subprocess.run(
        ["make", *arguments, f"VENV={bin_dir}/venv"],
        cwd=ROOT,
        env=own_make_environ() | environ | {"PATH": f"{bin_dir}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_make
@pytest.mark.parametrize(
    ("driver_says", "status", "extra"),
    [
        ("Driver Version: 580.65.06    CUDA Version: 13.0     |", 0, "cuda13"),
        ("KMD Version: 610.43.02     CUDA UMD Version: 13.3     |", 0, "cuda13"),
        ("Driver Version: 550.54.15    CUDA Version: 12.4     |", 0, "cuda12"),
        ("NVIDIA-SMI has failed because it could not reach the driver.", 9, "cpu"),
    ],
)
def test_the_jax_of_this_machine_is_what_its_driver_can_run(
    tmp_path: Path, driver_says: str, status: int, extra: str
) -> None:
    plan = make("-n", "setup", bin_dir=tmp_path, driver_says=driver_says, status=status)
    assert f"install EXTRAS={extra}" in plan.stdout


@pytest.mark.parametrize("name", ["EXTRA", "TORCH", "PYTHON", "VENV", "ARGS"])
def test_what_the_make_above_was_told_reaches_no_make_of_a_test(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for passed_on in (name, "MAKEFLAGS"):
        monkeypatch.setenv(passed_on, f"{name}=x")
    assert not {name, "MAKEFLAGS"} & own_make_environ().keys()


@needs_make
@pytest.mark.parametrize(
    ("driver_says", "words"),
    [
        ("Driver Version: 580.65.06    CUDA Version: 13.0     |", "torch"),
        (
            "Driver Version: 550.54.15    CUDA Version: 12.4     |",
            "--index-url https://download.pytorch.org/whl/cu126 torch",
        ),
    ],
)
@pytest.mark.parametrize("goal", ["tune-phase3", "test-scripts"])
def test_the_pytorch_of_this_machine_is_what_its_driver_can_run(
    tmp_path: Path, goal: str, driver_says: str, words: str
) -> None:
    plan = make("-n", goal, bin_dir=tmp_path, driver_says=driver_says)
    assert f"--target= {words}\n" in plan.stdout


@needs_make
@pytest.mark.parametrize("goal", ["setup", "test", "lint"])
def test_a_gpu_whose_driver_does_not_answer_is_not_taken_for_a_cpu(
    tmp_path: Path, goal: str
) -> None:
    says = "Failed to initialize NVML: Driver/library version mismatch"
    done = make(goal, bin_dir=tmp_path, driver_says=says, status=18)
    assert done.returncode == 2
    assert f"error: the NVIDIA driver does not answer ({says})" in done.stderr
    assert "Or take the CPU's JAX: make EXTRA=cpu." in done.stderr
    assert not (tmp_path / "venv").exists()


@needs_make
@pytest.mark.parametrize("python", ["exit 1", "echo 'Python 3.10'; exit 1"], ids=["old", "talking"])
def test_a_python_that_is_too_old_is_refused_before_pip_is_asked(
    tmp_path: Path, python: str
) -> None:
    old = tmp_path / "python3.10"
    old.write_text(f"#!/bin/sh\n{python}\n")
    old.chmod(0o755)
    done = make("setup", f"PYTHON={old}", "EXTRA=cpu", bin_dir=tmp_path)
    assert (done.returncode, (tmp_path / "venv").exists()) == (2, False)
    assert f"{old} is no Python 3.11 or newer with venv: say make PYTHON=" in done.stderr


FAKE_PYTHON = """#!/bin/sh
case "$*" in *'-I -m pip'*) env | grep -E '^PIP_' | sort > "{seen}"; exit 0;; esac
exec {real} "$@"
"""


@needs_make
def test_the_images_variables_do_not_send_pip_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "venv/bin").mkdir(parents=True)
    python, seen = tmp_path / "venv/bin/python", tmp_path / "seen"
    python.write_text(FAKE_PYTHON.format(seen=seen, real=sys.executable))
    python.chmod(0o755)
    images = {"PIP_TARGET": "/opt/x", "PIP_USER": "1", "PIP_CONSTRAINT": "/etc/pip/constraint.txt"}
    own = {"PIP_INDEX_URL": "https://mirror.example/simple", "PYTHONHOME": "/usr/lib/other"}
    done = make("install", "EXTRAS=cpu", "EXTRA=cpu", bin_dir=tmp_path, **images, **own)
    assert done.returncode == 0, done.stderr
    variables = dict(line.split("=", 1) for line in seen.read_text().splitlines())
    assert [variables[name] for name in images] == ["", "0", ""]
    assert variables["PIP_INDEX_URL"] == own["PIP_INDEX_URL"], "a mirror is the person's own"


@needs_make
def test_a_pip_conf_that_names_a_target_is_overruled(tmp_path: Path) -> None:
    done = make("--dry-run", "install", "EXTRAS=cpu", "EXTRA=cpu", bin_dir=tmp_path)
    assert "--target= --editable '.[cpu]'" in done.stdout


@needs_make
@pytest.mark.parametrize(
    ("driver_says", "status", "most_s"),
    [
        ("NVIDIA-SMI has failed because it could not reach the driver.", 9, 300),
        ("Driver Version: 580.65.06    CUDA Version: 13.0     |", 0, 1800),
    ],
    ids=["cpu", "gpu"],
)
def test_make_tune_answers_in_the_time_that_the_readme_says(
    tmp_path: Path, driver_says: str, status: int, most_s: float
) -> None:
    plan = make("-n", "tune", bin_dir=tmp_path, driver_says=driver_says, status=status)
    [line] = [line for line in plan.stdout.splitlines() if "-m tune.jax_phase12" in line]
    words = dict(re.findall(r"--([a-z-]+) ([0-9a-z]+)", line))
    spec = JaxSpec(
        max_time=words["max-time"],
        finalists=int(words["finalists"]) if "finalists" in words else None,
    )
    assert spec.max_time_s is not None
    assert 0.9 * most_s <= spec.max_time_s <= most_s


def test_torch_is_in_no_extra_of_the_jax_path() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = tomllib.loads(project)["project"]["optional-dependencies"]
    of_the_path = [extras[name] for name in ("cpu", "cuda12", "cuda13", "test", "lint")]
    packages = [*tomllib.loads(project)["project"]["dependencies"], *itertools.chain(*of_the_path)]
    assert not [package for package in packages if package.startswith("torch")]
    assert [package for package in extras["torch"] if package.startswith("torch>=")]
