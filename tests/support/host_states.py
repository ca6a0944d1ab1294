"""Boxes in every state."""

from typing import Any

from cluster.fleet.hosts import Host
from cluster.fleet.status import HostStatus

HOST = Host(name="a", address="x", provider="vast", id="1", price_per_hour=2.0)


JOB = {
    "name": "j1",
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
        "ready": {"machine_class": "gpu"},
        "deadman": deadman,
        "job": None if job is None else JOB | job,
    }
    return HostStatus(host=HOST, answer=answer, age_s=age_s, **fields)


def ended(code: int, reason: str = "ended") -> dict[str, Any]:
    return {"state": "ended", "exit": {"exit_code": code, "reason": reason}, "log_tail": ["why"]}
