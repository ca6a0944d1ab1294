"""Profiles as a search writes them, and with keys that somebody has changed."""

import datetime
import os
from pathlib import Path
from typing import Any

import yaml

import factories
from trainables.machine_speed import MachineSpeed, SpeedLevel
from tune.profile import export
from tune.search.result import Kind, SearchResult

NOW = datetime.datetime(2026, 11, 24, 11, 0, tzinfo=datetime.UTC)
FULL = factories.outcome(
    measurement=factories.measurement(
        peak_device_bytes=180_000_000,
        gpu_utilization=87.0,
        gpu_power_w=110.0,
        machine_speed=MachineSpeed(
            compute=SpeedLevel(mean=81.2e9, error=0.01), memory=SpeedLevel(mean=15.6e9, error=0.01)
        ),
    )
)


def written(folder: Path, result: SearchResult | None = None, **changes: Any) -> Path:
    """Export a search's result; return the fastest's file."""
    arguments: dict[str, Any] = {
        "task": factories.task(),
        "preflight": factories.preflight(),
        "objective": "throughput",
        "soak_updates": 200,
        "study": Path("runs/jax-phase1/journal.log"),
        "ended_at": NOW,
        "environ": os.environ,
    }
    found = result or factories.result(
        chosen={Kind.FASTEST: factories.candidate(representative=FULL, noise_scale=900.0)}
    )
    search = export.FinishedSearch(result=found, **(arguments | changes))
    return export.write_all(search, folder)[Kind.FASTEST]


def loaded(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(path.read_text())
    return fields


def rewritten(path: Path, **changes: Any) -> Path:
    """Edit keys of a profile, as `a__b=value` for a key below another; `None` takes it out."""
    fields = loaded(path)
    for dotted, value in changes.items():
        *parents, name = dotted.split("__")
        target = fields
        for parent in parents:
            target = target[parent]
        target[name] = value
        if value is None:
            del target[name]
    path.write_text(yaml.safe_dump(fields))
    return path
