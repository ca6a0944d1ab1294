"""What each box does, has found and costs, and what to run so that it costs nothing any more."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.box.folder import write_json
from cluster.figures import dollars, duration, speed
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.split import Part
from cluster.fleet.ssh import HostError, UnreachableError

if TYPE_CHECKING:
    from rich.console import RenderableType

_PATIENCE_S = 12.0  # a box under load answers within two
COLUMNS = ("host", "class", "state", "doing", "trials", "best", "time left", "cost so far", "note")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """What a box said, and when; where it cannot be reached, what it said last."""

    host: Host
    answer: Mapping[str, Any] | None
    age_s: float
    problem: str | None = None
    reachable: bool = True

    @property
    def job(self) -> Mapping[str, Any] | None:
        """The job started last."""
        return None if self.answer is None else self.answer["job"]

    @property
    def machine_class(self) -> str | None:
        """The box's class, once `up` has found it."""
        ready = None if self.answer is None else self.answer["ready"]
        return None if ready is None else ready["machine_class"]

    @property
    def part(self) -> Part | None:
        """Which part the job is of a search that boxes share; `None` if it is a whole one."""
        return Part.of(self.job)

    @property
    def is_running(self) -> bool:
        """Whether a job runs, as far as is known."""
        return self.job is not None and self.job["state"] == "running"

    @property
    def state(self) -> str:
        """One word, or three."""
        if not self.reachable:
            return "unreachable"
        if self.problem is not None:
            return "problem"
        if self.job is None:
            return "no job"
        if self.job["state"] != "ended":
            return str(self.job["state"])
        if self.job["exit"]["reason"] != "ended":
            return str(self.job["exit"]["reason"])
        is_part = self.part is not None and self.part.number is not None
        names = {0: "part done" if is_part else "done", 1: "nothing feasible", 130: "interrupted"}
        return names.get(self.job["exit"]["exit_code"], "failed")

    @property
    def succeeded(self) -> bool:
        """Whether the job has ended with profiles."""
        return self.state == "done"

    def cost(self, prices: Prices) -> float | None:
        """Dollars since the box's first process began, `None` if the price or that is unknown."""
        price = prices.of(self.host, self.machine_class)
        age_s = None if self.answer is None else self.answer["machine_age_s"]
        return None if price is None or age_s is None else (age_s + self.age_s) / 3600 * price


def read(box: RemoteBox) -> HostStatus:
    """Ask a box; where it does not answer, say so beside what it said last. Never raises."""
    last_seen = box.connection.state.last_seen(box.host)
    try:
        answer = box.ask("status", timeout_s=_PATIENCE_S)
    except UnreachableError as error:
        known = json.loads(last_seen.read_text()) if last_seen.exists() else None
        return HostStatus(
            host=box.host,
            answer=None if known is None else known["answer"],
            age_s=0.0 if known is None else max(time.time() - known["at"], 0.0),
            problem=str(error),
            reachable=False,
        )
    except HostError as error:
        return HostStatus(host=box.host, answer=None, age_s=0.0, problem=str(error))
    write_json(last_seen, {"at": time.time(), "answer": answer})
    return HostStatus(host=box.host, answer=answer, age_s=0.0)


def cells(status: HostStatus, prices: Prices) -> tuple[str, ...]:
    """A box's row under `COLUMNS`; `-` is what is not known."""
    job = status.job or {}
    doing = (str(status.part or ""), job.get("stage"), job.get("phase"))
    trials = "-"
    if status.job is not None:
        of = f" of {job['max_runs']}" if job.get("max_runs") else ""
        trials = f"{job['num_trials']}{of}"
    best = job.get("best_steps_per_second")
    cost = status.cost(prices)
    return (
        status.host.name,
        status.machine_class or "-",
        status.state,
        ", ".join(filter(None, doing)) or "-",
        trials,
        "-" if best is None else f"{speed(best)}/s",
        _time_left(status),
        "-" if cost is None else dollars(cost),
        _note(status),
    )


def line(status: HostStatus, prices: Prices) -> str:
    """The same for a log, or where the terminal is narrow."""
    pairs = zip(COLUMNS[1:], cells(status, prices)[1:], strict=True)
    said = [f"{name}: {cell}" for name, cell in pairs if cell not in ("-", "")]
    return f"{status.host.name}  {'; '.join(said)}"


def render(statuses: Sequence[HostStatus], prices: Prices) -> "RenderableType":
    """The boxes as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for status in statuses:
        style = {"done": "green", "part done": "green", "running": ""}.get(status.state, "yellow")
        table.add_row(*(Text(cell, style=style) for cell in cells(status, prices)))
    return table


def to_dict(status: HostStatus, prices: Prices) -> dict[str, Any]:
    """All that is known of a box, as plain values for JSON."""
    return {
        "host": status.host.name,
        "state": status.state,
        "reachable": status.reachable,
        "problem": status.problem,
        "age_s": status.age_s,
        "cost_dollars": status.cost(prices),
        "stop_paying": status.host.destroy_command,
        "answer": status.answer,
    }


def money(statuses: Sequence[HostStatus], prices: Prices) -> list[str]:
    """For every box: that it costs money, how much is known of it, and how to end that."""
    lines = []
    for status in statuses:
        price = prices.of(status.host, status.machine_class)
        rate = "its price is not known" if price is None else f"{dollars(price)} an hour"
        up = "is up" if status.reachable else "may be up, though it cannot be reached"
        lines.append(
            f"{status.host.name} {up} ({rate}). To stop paying: {status.host.destroy_command}"
        )
    return lines


def _time_left(status: HostStatus) -> str:
    """The search's own limit, if it has one; and the dead-man's, if that comes sooner."""
    if status.answer is None or not status.is_running:
        return "-"
    limits = []
    job, deadman = status.answer["job"], status.answer["deadman"]
    if job.get("max_time_s"):
        limits.append(job["max_time_s"] - job["elapsed_s"])
    if deadman is not None:
        limits.append(deadman["left_s"])
    return "-" if not limits else f"at most {duration(min(limits) - status.age_s)}"


def _note(status: HostStatus) -> str:
    if status.problem is not None:
        since = f"; last seen {duration(status.age_s)} ago" if status.answer is not None else ""
        return status.problem.removeprefix(f"{status.host.name}: ").rstrip(".") + since
    assert status.answer is not None
    deadman, job = status.answer["deadman"], status.answer["job"]
    notes = []
    if deadman is not None:
        notes.append(_deadman_note(deadman))
    if job is not None and status.state in ("failed", "died"):
        code = "" if job["exit"] is None else f"exit code {job['exit']['exit_code']}: "
        notes.append(code + (job["log_tail"][-1] if job["log_tail"] else "its log is empty"))
    elif job is not None and job.get("headline"):
        notes.append(job["headline"])
    return " ".join(filter(None, notes))


def _deadman_note(deadman: Mapping[str, Any]) -> str:
    fired = deadman["fired"]
    if fired is not None:
        code = fired["stop_exit_code"]
        if code:
            return f"dead-man fired, but its stop command fails with exit code {code}: still paid."
        return "dead-man fired." if code is None else "dead-man fired and stopped the rent."
    if not deadman["alive"]:
        return "DEAD-MAN IS NOT RUNNING: arm it again by up --max-hours."
    return "" if deadman["stops_instance"] else "dead-man ends the job, not the rent."
