"""Measurements, outcomes and trials for tests: everything plausible, but for what a test names."""

import dataclasses
import os
from typing import Any

from cluster.node.hardware import Machine
from cluster.node.limits import Cpus, MemoryLimit, ThreadLimit, ThreadLimits
from cluster.node.thread_env import ThreadEnv
from trainables.measurement import Measurement, Outcome, OutcomeKind
from tune.preflight.findings import Findings, Preflight, PreflightRequest
from tune.preflight.judge import judge
from tune.search.result import Candidate, Kind, Noise, SearchResult
from tune.search.trial import Stage, Trial
from tune.spec import Task

_MEASUREMENT = Measurement(
    steps_per_second=50_000.0,
    low=49_500.0,
    high=50_500.0,
    converged=True,
    num_blocks=6,
    num_updates=12,
    env_steps_per_update=32_768,
    startup_s=0.1,
    build_s=0.4,
    compile_s=2.5,
    warmup_s=1.5,
    measure_s=4.0,
    flops_per_update=1.4e11,
    predicted_device_bytes=150_000_000,
    peak_device_bytes=None,
    num_compilations=2,
    gpu_utilization=None,
    gpu_temperature_c=None,
    gpu_power_w=None,
    health={"entropy": 0.9, "mean_return": 0.1},
)
_OUTCOME = Outcome(
    kind=OutcomeKind.COMPLETED,
    message="measured.",
    wall_s=9.0,
    thread_cap=2,
    measurement=_MEASUREMENT,
    predicted_device_bytes=150_000_000,
    peak_threads=21,
    peak_host_bytes=800_000_000,
    peak_maps=1_700,
    log="trials/000-search.log",
)


def measurement(**changes: Any) -> Measurement:
    """A measurement of 50 K env steps/s, with these fields changed."""
    return dataclasses.replace(_MEASUREMENT, **changes)


def outcome(**changes: Any) -> Outcome:
    """A completed outcome, with these fields changed."""
    return dataclasses.replace(_OUTCOME, **changes)


def trial(**changes: Any) -> Trial:
    """A completed trial of the exploring stage, with these fields changed."""
    fields: dict[str, Any] = {
        "number": 0,
        "stage": Stage.SEARCH,
        "config": {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4},
        "outcome": _OUTCOME,
    }
    return Trial(**(fields | changes))


def failed(kind: OutcomeKind, message: str, **changes: Any) -> Outcome:
    """An outcome without a measurement."""
    return outcome(kind=kind, message=message, measurement=None, **changes)


def candidate(**changes: Any) -> Candidate:
    """A configuration that finals confirmed at 62 K env steps/s and that soaked."""
    fields: dict[str, Any] = {
        "config": {"num_envs": 512, "num_steps": 64, "batch_size": 4096, "num_epochs": 4},
        "steps_per_second": 62_000.0,
        "low": 61_200.0,
        "high": 62_900.0,
        "num_processes": 2,
        "confirmed": True,
        "representative": _OUTCOME,
        "device_bytes": 150_000_000,
        "noise": Noise(sd=0.01, dof=100.0, quantile=1.984),
        "noise_over_time": Noise(sd=0.01, dof=100.0, quantile=1.984),
        "noise_scale": None,
        "soaks": (measurement(num_updates=200, measure_s=131.0, steps_per_second=61_500.0),),
    }
    return Candidate(**(fields | changes))


BASELINE = candidate(
    config={"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4},
    steps_per_second=50_000.0,
    low=49_300.0,
    high=50_700.0,
    device_bytes=290_000_000,
    soaks=(),
)
"""The framework default in the same finals."""


def result(**changes: Any) -> SearchResult:
    """A complete search whose fastest configuration is `candidate()`."""
    fields: dict[str, Any] = {
        "trials": (trial(stage=Stage.BASELINE),),
        "chosen": {Kind.FASTEST: candidate()},
        "baseline": BASELINE,
        "stop_reason": "8 trials in a row did not improve the best by 2% (--patience, --min-gain)",
        "partial": False,
        "wall_s": 271.0,
    }
    return SearchResult(**(fields | changes))


def task(**changes: Any) -> Task:
    """Phase 1 on a synthetic market."""
    fields: dict[str, Any] = {
        "name": "jax-phase1",
        "mode": "jax",
        "phase": 1,
        "workload": "trainables.jax_phase12.workload:phase1",
        "options": {"data": None, "seed": 0},
        "data": {"source": "a synthetic market", "synthetic": True, "sha256": "ab" * 32},
        "framework": "jax",
    }
    return Task(**(fields | changes))


def preflight(**environ: str) -> Preflight:
    """A CPU machine of 8 cores and 16 free GiB that is fit, in a person's environment."""
    machine = Machine(
        gpus=(),
        driver_version=None,
        cuda_driver_version=None,
        cpu_model="AMD EPYC 7543",
        num_cpus=8,
        cpu_quota_cores=None,
        ram_bytes=32 * 2**30,
        os="Linux 6.8.0 x86_64",
        python="3.12.3",
        versions={"jax": "0.10.2", "jaxlib": "0.10.2", "ray": "2.60.0"},
    )
    limit = ThreadLimit(
        name="pids cgroup /c",
        limit=1024,
        use=24,
        room=1000,
        source="/c/pids.max",
        note="every thread of this container or service (cgroup v2)",
        remedy="a container with --pids-limit {limit} or more",
    )
    memory = MemoryLimit(total_bytes=32 * 2**30, available_bytes=16 * 2**30, source="/proc/meminfo")
    findings = Findings(
        machine=machine,
        gpus=(),
        hidden_gpus=0,
        thread_limits=ThreadLimits(limits=(limit,), binding=limit, room=1000),
        cpus=Cpus(allowed=tuple(range(8)), quota_cores=None, online=8),
        host_memory=memory,
        container=None,
    )
    return judge(findings, PreflightRequest(), environ=environ)


def caps() -> ThreadEnv:
    """One CPU of this machine, and no variables."""
    return ThreadEnv(cap=1, cpus=(min(os.sched_getaffinity(0)),), variables={}, notes=())
