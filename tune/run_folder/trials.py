"""The trials of a search as files: trials.csv for spreadsheets, trials.json with everything."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.node import atomic
from trainables.measurement import Measurement, Outcome, OutcomeKind, Phase
from tune.search.trial import Trial

TRIALS_VERSION = 1
"""The schema version of trials.json."""

_HEALTH = "health/"
_BY_PHASE = {"threads_by_phase": "threads/", "seconds_by_phase": "seconds/"}
_TRIAL = ("number", "stage", "kind", "excluded", "score", "machine_share")
_NO_COLUMNS = {
    *("health", "first_health", "gpu_held_back", "curve", "machine_speed"),  # no figures
    "predicted_device_bytes",  # the outcome has it, too
}
_MEASUREMENT = tuple(
    field.name for field in dataclasses.fields(Measurement) if field.name not in _NO_COLUMNS
)
_OUTCOME = tuple(
    field.name
    for field in dataclasses.fields(Outcome)
    if field.name not in {"kind", "measurement", *_BY_PHASE}
)
_PHASES = tuple(f"{prefix}{phase}" for prefix in _BY_PHASE.values() for phase in Phase)


def write_trials(
    folder: Path,
    trials: Sequence[Trial],
    *,
    wall_s: float | None = None,
    compiling_ahead_s: float | None = None,
) -> tuple[Path, Path]:
    """Write trials.csv and trials.json; return their paths.

    `wall_s` is of the whole session, `compiling_ahead_s` of what it compiled before its first
    trial.
    """
    table, document = folder / "trials.csv", folder / "trials.json"
    atomic.write_text(table, to_csv(trials))
    records = {
        "schema_version": TRIALS_VERSION,
        "wall_s": wall_s,
        "compiling_ahead_s": compiling_ahead_s,
        "trials": [to_dict(trial) for trial in trials],
    }
    atomic.write_text(document, json.dumps(records, indent=1, allow_nan=False) + "\n")
    return table, document


def to_csv(trials: Sequence[Trial]) -> str:
    """Return one row per ended trial and one column per figure; an empty cell was not measured."""
    table = [_row(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    axes = list(dict.fromkeys(name for trial in trials for name in trial.config))
    health = sorted({name for row in table for name in row if name.startswith(_HEALTH)})
    text = io.StringIO()
    columns = [*_TRIAL, *axes, *_MEASUREMENT, *_OUTCOME, *_PHASES, *health]
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_dict(trial: Trial) -> dict[str, Any]:
    """Return a trial with its whole outcome, as plain values for strict JSON."""
    plain: dict[str, Any] = without_nan(dataclasses.asdict(trial))
    if plain["outcome"] is not None:
        plain["outcome"]["kind"] = _kind(trial)
    return plain | {"excluded": not trial.was_run}


def without_nan(value: Any) -> Any:
    """Replace NaN and infinities by `None`, because strict JSON does not have them."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _kind(trial: Trial) -> str:
    """Return the outcome's name in these files, where an excluded trial has that of its limit."""
    assert trial.kind is not None
    return trial.kind.value if trial.was_run else OutcomeKind.DEVICE_MEMORY.value


def _row(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = trial.config | {
        "number": trial.number,
        "stage": trial.stage.value,
        "kind": _kind(trial),
        "excluded": not trial.was_run,
        "score": trial.score,
        "machine_share": trial.machine_share,
    }
    row |= {name: getattr(outcome, name) for name in _OUTCOME} | {"gpus": " ".join(outcome.gpus)}
    for name, prefix in _BY_PHASE.items():
        row |= {
            f"{prefix}{phase}": value for phase, value in (getattr(outcome, name) or {}).items()
        }
    measured = outcome.measurement
    if measured is not None:
        row |= {name: getattr(measured, name) for name in _MEASUREMENT}
        row |= {f"{_HEALTH}{name}": value for name, value in measured.health.items()}
    return row
