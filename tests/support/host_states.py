"""Boxes in every state."""

import dataclasses
from typing import Any

from cluster.box.answer import BoxStatus
from cluster.fleet.hosts import Host
from cluster.fleet.status import HostStatus
from cluster.structure import structure_known

HOST = Host(name="a", address="x", provider="vast", id="1", price_per_hour=2.0)


JOB = {
    "name": "j1",
    "words": ["python", "x"],
    "state": "running",
    "num_trials": 3,
    "elapsed_s": 60.0,
    "exit": None,
    "log_tail": [],
}


DEADMAN = {"left_s": 600.0, "alive": True, "stops_instance": True, "fired": None}


def seen(
    *,
    job: dict[str, Any] | None = None,
    deadman: dict[str, Any] | None = None,
    age_s: float = 0.0,
    **fields: Any,
) -> HostStatus:
    answer = {
        "machine_age_s": 1800.0,
        "ready": {"machine_class": "gpu", "python": "/bin/python"},
        "deadman": deadman,
        "job": None if job is None else JOB | job,
    }
    known = structure_known(BoxStatus, answer)
    return HostStatus(host=HOST, answer=known, age_s=age_s, **fields)


def ended(code: int, reason: str = "ended") -> dict[str, Any]:
    return {"state": "ended", "exit": ended_with(code, reason), "log_tail": ["why"]}


def ended_with(code: int, reason: str = "ended") -> dict[str, Any]:
    return {"exit_code": code, "reason": reason, "ended_at": 1.7e9}


def fired(code: int | None) -> dict[str, Any]:
    return {"at": 1.7e9, "job": "j1", "stop_exit_code": code}


def on(name: str, job: dict[str, Any] | None, **fields: Any) -> HostStatus:
    """The same of the box of this name."""
    return dataclasses.replace(seen(job=job, **fields), host=dataclasses.replace(HOST, name=name))
