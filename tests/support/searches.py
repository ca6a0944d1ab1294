"""Searches that have ended, for the reports: of every outcome, foreign, hostile, old."""

import dataclasses
from typing import Any

from factories import measurement, outcome, preflight, task
from trainables.measurement import Outcome, OutcomeKind, Phase
from tune.jax_phase12 import JaxSpec
from tune.preflight import view as preflight_view
from tune.run_folder.record import RunRecord, SearchContext, SearchEnd
from tune.search.trial import Stage, Trial

GIB = 2**30
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\udcff\x00" + 90 * "W"
MEASURED = (OutcomeKind.COMPLETED, OutcomeKind.SLOW)
BASELINE = {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
_THREADS = {
    Phase.START: 1,
    Phase.IMPORT: 18,
    Phase.BUILD: 21,
    Phase.COMPILE: 34,
    Phase.WARMUP: 22,
    Phase.MEASURE: 22,
}


def record(**changes: Any) -> RunRecord:
    """A search of Phase 1 that came to its end on a CPU machine."""
    machine = preflight()
    fields: dict[str, Any] = {
        "command": "python -m tune.jax_phase12 --max-time 4m",
        "started_at": "2026-01-02T03:04:05+00:00",
        "task": task(),
        "context": SearchContext.of(JaxSpec(), task(), machine, "the framework default"),
        "space": {"num_envs": [64, 128, 256], "num_steps": [32, 64, 128]},
        "baseline": BASELINE,
        "first_trial": 0,
        "machine": preflight_view.sections(machine),
        "ending": SearchEnd(
            stop_reason="every configuration of the space was tried",
            partial=False,
            wall_s=400.0,
            profiles={"fastest": "profiles/fastest.yaml"},
        ),
    }
    return RunRecord(**(fields | changes))


def ended(number: int, config: dict[str, int], kind: OutcomeKind, **changes: Any) -> Trial:
    """A trial of 10 s that ended so, one second after the one before it."""
    speed = 40_000.0 + 1_000.0 * number
    measured = measurement(
        steps_per_second=speed,
        low=0.98 * speed,
        high=1.02 * speed,
        health={"gradient_noise_scale": 9_000.0},
        **changes.pop("measurement", {}),
    )
    fields: dict[str, Any] = {
        "kind": kind,
        "message": f"it ended as {kind}.",
        "wall_s": 10.0,
        "measurement": measured if kind in MEASURED else None,
        "threads_by_phase": dict(_THREADS),
        "seconds_by_phase": {Phase.START: 0.1, Phase.COMPILE: 3.0, Phase.MEASURE: 4.0},
    }
    stage = changes.pop("stage", Stage.SEARCH)
    return Trial(
        number=number,
        stage=stage,
        config=config,
        outcome=outcome(**(fields | changes)),
        started_at=1e9 + 11.0 * number,
        ended_at=1e9 + 11.0 * number + 10.0,
    )


def every_outcome(*, on_gpu: bool = False) -> tuple[Trial, ...]:
    """The baseline, one trial of every kind, one that was excluded, a final and a soak."""
    trials = [ended(0, BASELINE, OutcomeKind.COMPLETED, stage=Stage.BASELINE)]
    kinds = [kind for kind in OutcomeKind if kind is not OutcomeKind.EXCLUDED]
    for number, kind in enumerate(kinds, start=1):
        config = BASELINE | {"num_envs": 64 << number % 4, "num_steps": 32 << number // 4}
        changes: dict[str, Any] = {"predicted_device_bytes": number * GIB}
        if on_gpu:
            changes["measurement"] = {"peak_device_bytes": round(1.03 * number * GIB)}
        trials.append(ended(number, config | {"batch_size": 2048}, kind, **changes))
    number = len(trials)
    excluded = ended(
        number,
        BASELINE | {"num_envs": 1024},
        OutcomeKind.EXCLUDED,
        wall_s=0.0,
        thread_cap=0,
        predicted_device_bytes=40 * GIB,
        peak_threads=None,
        peak_host_bytes=None,
        threads_by_phase=None,
        seconds_by_phase=None,
        log=None,
    )
    winner = trials[1].config
    final = ended(number + 1, winner, OutcomeKind.COMPLETED, stage=Stage.FINAL)
    soak = ended(number + 2, winner, OutcomeKind.COMPLETED, stage=Stage.SOAK)
    return (*trials, excluded, final, soak)


def foreign(*axes: str) -> tuple[Trial, ...]:
    """Trials of a workload of one's own, which tells neither bytes nor a noise scale."""
    trials = []
    for number in range(4):
        config = {axis: 2 + number % (2 + place) for place, axis in enumerate(axes)}
        trial = ended(number, config | {"depth": 3}, OutcomeKind.COMPLETED)
        assert trial.outcome is not None
        assert trial.outcome.measurement is not None
        bare = dataclasses.replace(
            trial.outcome,
            predicted_device_bytes=None,
            measurement=dataclasses.replace(
                trial.outcome.measurement, health={}, predicted_device_bytes=None
            ),
        )
        trials.append(dataclasses.replace(trial, outcome=bare))
    return tuple(trials)


def bare(trial: Trial) -> Trial:
    """The trial as a journal of an older version has it: no phases, no times."""
    assert trial.outcome is not None
    known = {
        field.name: getattr(trial.outcome, field.name)
        for field in dataclasses.fields(Outcome)
        if field.name not in {"threads_by_phase", "seconds_by_phase"}
    }
    return dataclasses.replace(trial, outcome=Outcome(**known), started_at=None, ended_at=None)
