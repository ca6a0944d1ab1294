"""The export of a search's result as profiles: one file per kind that was chosen."""

import dataclasses
import datetime
import math
import statistics
from collections.abc import Mapping
from pathlib import Path

from cluster.node import hardware, nvml, ray_env, thread_env
from cluster.node.thread_env import ThreadEnv
from search_spaces.config import num_devices, num_shares, variables_of
from trainables.measurement import ENV_STEPS
from tune.preflight.findings import Preflight
from tune.profile import file as profile_file
from tune.profile.schema import (
    EXPORTABLE,
    PROFILE_VERSION,
    Profile,
    ProfileBaseline,
    ProfileEnvironment,
    ProfileLearning,
    ProfileMemory,
    ProfileSoak,
    ProfileSpeed,
    ProfileThreads,
    ProfileWorkload,
)
from tune.profile.searched import ProfileSearch, SideBySide
from tune.search.learned import Judgement
from tune.search.peaks import Peaks, peaks
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.speedup import speedup
from tune.spec import Task

_MEASURED = EXPORTABLE - {nvml.VISIBLE}
"""Variables of the person's whose values belong to what was measured; a GPU's number does not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedSearch:
    """A search that ended, as its profiles tell of it. `environ` is what trials inherited."""

    result: SearchResult
    task: Task
    preflight: Preflight
    objective: str
    soak_updates: int
    study: Path
    ended_at: datetime.datetime
    environ: Mapping[str, str]
    side_by_side: SideBySide | None = None


def write_all(search: FinishedSearch, folder: Path) -> dict[Kind, Path]:
    """Write one profile per chosen kind; return where each went.

    Raises:
        ProfileError: if the folder cannot be written.
    """
    return {
        kind: profile_file.write(_profile(kind, candidate, search), folder)
        for kind, candidate in search.result.chosen.items()
    }


def _thread_env(candidate: Candidate, cap: int, search: FinishedSearch) -> ThreadEnv:
    """Return the environment that enforces the thread cap of the candidate's processes.

    A trial that dies of threads is run again at half the cap, so the cap may be lower than the
    preflight's. The environment is built like the trial's own, on top of the person's, whose values
    were measured, too, where the trial kept them.
    """
    preflight = search.preflight
    base = ray_env.as_given(search.environ) | variables_of(candidate.config)
    env = thread_env.build(
        cap,
        preflight.platform,
        preflight.cpus_of_trial(num_devices(candidate.config)),
        base,
        search.task.framework,
    )
    # Of a GPU that shares the host's memory trials take less: see `tune.preflight.device`.
    told = preflight.thread_env.variables if preflight.thread_env else {}
    share = {n: told[n] for n in thread_env.POOL_FRACTIONS if n in told and n in env.variables}
    kept = {name: base[name] for name in sorted(_MEASURED & base.keys()) if base[name]}
    return dataclasses.replace(env, variables=kept | env.variables | share)


def _profile(kind: Kind, candidate: Candidate, search: FinishedSearch) -> Profile:
    """Return the profile of one chosen configuration."""
    result, task, preflight = search.result, search.task, search.preflight
    measured, seen = candidate.representative.measurement, peaks(candidate, result.trials)
    assert measured is not None
    env, machine = _thread_env(candidate, seen.thread_cap, search), measured.machine_speed
    soak = _soak(candidate, search.soak_updates)
    has_soaked = soak is not None and soak.updates >= max(
        soak.asked_updates, task.confirming_updates
    )
    peak_bytes = seen.device_bytes if preflight.on_gpu else seen.host_bytes
    return Profile(
        schema_version=PROFILE_VERSION,
        kind=kind,
        mode=task.mode,
        phase=task.phase,
        config=dict(candidate.config),
        device=preflight.platform,
        expected_sps=_rounded(candidate.promised),
        expected_memory_gb=round(peak_bytes / 1e9, 3) if peak_bytes else None,
        expected_gpu_util=measured.gpu_utilization,
        timesteps_reduction=task.options.get("timesteps_reduction") if has_soaked else None,
        confirmed=candidate.confirmed,
        partial=result.partial,
        created_at=search.ended_at.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        speed=ProfileSpeed(
            low=_rounded(candidate.promised_low),
            high=_rounded(candidate.high),
            num_processes=candidate.promised_processes,
            converged=measured.converged,
            startup_s=round(measured.startup_s, 3),
            build_s=round(measured.build_s, 3),
            compile_s=_compile_s(candidate, result),
            warmup_s=round(measured.warmup_s, 3),
            flops_per_update=measured.flops_per_update,
            num_compilations=measured.num_compilations,
            disturbed=candidate.disturbed or None,
            unit=None if candidate.unit == ENV_STEPS else candidate.unit,
            cpu_flops_per_s=round(machine.compute.mean, -6) if machine else None,
            cpu_bytes_per_s=round(machine.memory.mean, -6) if machine else None,
            cpu_handoffs_per_s=round(machine.handoff.mean) if machine and machine.handoff else None,
        ),
        baseline=_baseline(candidate, result.baseline),
        soak=soak,
        learning=_learning(candidate, result.judgement, task),
        memory=_memory(candidate, seen, preflight),
        threads=_threads(seen, env, preflight),
        environment=ProfileEnvironment(cpus=env.cpus, variables=_variables(candidate, env)),
        workload=ProfileWorkload(
            factory=task.workload,
            options=task.shown_options,
            framework=task.framework,
            source=task.source or None,
        ),
        data=dict(task.data),
        search=ProfileSearch(
            study=str(search.study),
            objective=search.objective,
            side_by_side=search.side_by_side,
            gradient_noise_scale=candidate.noise_scale,
            stop_reason=result.stop_reason,
            wall_s=round(result.wall_s, 1),
            trials={kind.value: count for kind, count in result.outcome_counts.items()},
        ),
        machine_class=hardware.machine_class(preflight.machine),
        machine=preflight.machine,
    )


def _variables(candidate: Candidate, env: ThreadEnv) -> dict[str, str]:
    """Return the variables of the caps and of the configuration, as far as profiles may have them.

    XLA_FLAGS of the caps begins with the configuration's.
    """
    chosen = variables_of(candidate.config)
    both = thread_env.with_chosen(chosen | env.variables, chosen)
    return {name: value for name, value in both.items() if name in EXPORTABLE}


def _compile_s(candidate: Candidate, result: SearchResult) -> float | None:
    """Return the seconds of compiling; finals only read the program that exploring compiled."""
    own = [trial.measurement for trial in result.trials if trial.config == candidate.config]
    seconds = [
        measured.compile_s
        for measured in (*own, candidate.representative.measurement)
        if measured is not None and not measured.compiled_from_cache
    ]
    return round(seconds[-1], 3) if seconds else None


def _baseline(candidate: Candidate, baseline: Candidate | None) -> ProfileBaseline | None:
    if baseline is None:
        return None
    gain = speedup(candidate, baseline)
    return ProfileBaseline(
        config=dict(baseline.config),
        steps_per_second=_rounded(baseline.steps_per_second),
        low=_rounded(baseline.low),
        high=_rounded(baseline.high),
        speedup=round(gain.ratio, 4),
        speedup_low=round(gain.low, 4),
        speedup_high=round(gain.high, 4),
        disturbed=baseline.disturbed or None,
    )


def _soak(candidate: Candidate, asked_updates: int) -> ProfileSoak | None:
    soak = candidate.soak
    if soak is None or asked_updates < 1:
        return None
    return ProfileSoak(
        updates=soak.num_updates,
        asked_updates=asked_updates,
        measure_s=round(soak.measure_s, 3),
        steps_per_second=_rounded(soak.steps_per_second),
        counted=None if soak.counted == "update" else soak.counted,
    )


def _learning(
    candidate: Candidate, judgement: Judgement | None, task: Task
) -> ProfileLearning | None:
    own = None if judgement is None else judgement.of(candidate.config)
    if own is None or judgement is None:
        return None
    seconds = own.typical_s
    low = high = None
    if seconds is not None:  # else the error is not one of log seconds, but of returns
        side = math.exp(judgement.quantile * own.error)
        low, high = round(seconds / side, 3), round(seconds * side, 3)
    finals = [final for final in own.final_returns if final is not None]
    held_out = task.learning_options.get("held_out") if own.curves[0].held_out else None
    return ProfileLearning(
        num_seeds=own.num_seeds,
        training_s=round(judgement.training_s, 2),
        final_return=_rounded(statistics.fmean(finals)) if len(finals) == own.num_seeds else None,
        target=judgement.target,
        seconds=None if seconds is None else round(seconds, 3),
        low=low,
        high=high,
        held_out=held_out,
    )


def _rounded(value: float) -> float:
    """Return six significant digits: large models train at less than one step a second."""
    return float(f"{value:.6g}")


def _memory(candidate: Candidate, seen: Peaks, preflight: Preflight) -> ProfileMemory:
    device_bytes, host_bytes = candidate.device_bytes, seen.host_bytes
    shares = num_shares(candidate.config, on_gpu=preflight.on_gpu)
    device_budget = preflight.device_budget_bytes
    host_budget = shares * preflight.host_budget_bytes
    return ProfileMemory(
        predicted_device_bytes=candidate.representative.predicted_device_bytes,
        peak_device_bytes=seen.device_bytes,
        device_budget_bytes=device_budget,
        device_headroom_bytes=None if device_bytes is None else device_budget - device_bytes,
        peak_host_bytes=host_bytes,
        host_budget_bytes=host_budget,
        host_headroom_bytes=None if host_bytes is None else host_budget - host_bytes,
    )


def _threads(seen: Peaks, env: ThreadEnv, preflight: Preflight) -> ProfileThreads:
    limits = preflight.findings.thread_limits
    return ProfileThreads(
        cap=env.cap,
        peak_threads=seen.num_threads,
        peak_maps=seen.num_maps,
        binding_limit=limits.binding.name if limits.binding else None,
        limit=limits.binding.limit if limits.binding else None,
        room=limits.room,
    )
