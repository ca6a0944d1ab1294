"""Statuses of boxes as cells, as lines, as a table, and as JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.fleet.offers.prices import Prices
from cluster.fleet.status import HostStatus
from cluster.node.deadman import DeadmanStatus
from cluster.node.secret_names import without_secret_words
from cluster.pages.units import dollars, duration, speed

STATUS_COLUMNS = (
    "host",
    "class",
    "state",
    "doing",
    "trials",
    "best",
    "time left",
    "cost so far",
    "note",
)


def cells(status: HostStatus, prices: Prices) -> tuple[str, ...]:
    """Return a box's row under `STATUS_COLUMNS`; `-` stands for what is not known."""
    trials, doing, best = "-", "-", None
    if (job := status.job) is not None:
        trials = f"{job.num_trials}" + (f" of {job.max_runs}" if job.max_runs else "")
        doing = ", ".join(filter(None, (str(status.part or ""), job.stage, job.phase))) or "-"
        best = job.best_steps_per_second
    cost = status.cost(prices)
    return (
        status.host.name,
        status.machine_class or "-",
        status.state,
        doing,
        trials,
        "-" if best is None else f"{speed(best)}/s",
        _time_left(status),
        "-" if cost is None else dollars(cost),
        _note(status),
    )


def line(status: HostStatus, prices: Prices) -> str:
    """Return a box's status as one line, for logs and pipes."""
    pairs = zip(STATUS_COLUMNS[1:], cells(status, prices)[1:], strict=True)
    said = [f"{name}: {cell}" for name, cell in pairs if cell not in ("-", "")]
    return f"{status.host.name}  {'; '.join(said)}"


def render(statuses: Sequence[HostStatus], prices: Prices) -> RenderableType:
    """Return the boxes as a table for a terminal."""
    table = Table(expand=False)
    for column in STATUS_COLUMNS:
        table.add_column(column, overflow="fold")
    for status in statuses:
        style = {"done": "green", "part done": "green", "running": ""}.get(status.state, "yellow")
        table.add_row(*(Text(cell, style=style) for cell in cells(status, prices)))
    return table


def to_dict(status: HostStatus, prices: Prices) -> dict[str, Any]:
    """Return all that is known of a box but the secrets of commands, as plain values for JSON."""
    answer = None if status.answer is None else dataclasses.asdict(status.answer)
    if answer is not None and (job := answer["job"]) is not None:
        for key in ("words", "own_words"):
            job[key] = job[key] and without_secret_words(job[key])
    return {
        "host": status.host.name,
        "state": status.state,
        "reachable": status.reachable,
        "problem": status.problem,
        "age_s": status.age_s,
        "cost_dollars": status.cost(prices),
        "stop_paying": status.host.destroy_command,
        "answer": answer,
    }


def money(statuses: Sequence[HostStatus], prices: Prices) -> list[str]:
    """Return a line for each box: its price, and the command that ends its rent."""
    lines = []
    for status in statuses:
        price = prices.of(status.host, status.machine_class)
        rate = "its price is not known" if price is None else f"{dollars(price)} an hour"
        up = "is up" if status.reachable else "may be up, though it cannot be reached"
        if status.ends_rent:
            up = "was asked to end its rent"
        then = "If it is still listed" if status.ends_rent else "To stop paying"
        lines.append(f"{status.host.name} {up} ({rate}). {then}: {status.host.destroy_command}")
    return lines


def _time_left(status: HostStatus) -> str:
    """Return the time to the search's own limit or the dead-man's, the sooner of the two."""
    if status.answer is None or not status.is_running:
        return "-"
    limits = []
    job, deadman = status.answer.job, status.answer.deadman
    if job is not None and job.max_time_s:
        limits.append(job.max_time_s - job.elapsed_s)
    if deadman is not None and deadman.alive and deadman.fired is None:
        limits.append(deadman.left_s)
    return "-" if not limits else f"at most {duration(max(min(limits) - status.age_s, 0.0))}"


def _note(status: HostStatus) -> str:
    if status.problem is not None:
        since = f"; last seen {duration(status.age_s)} ago" if status.answer is not None else ""
        return status.problem.removeprefix(f"{status.host.name}: ").rstrip(".") + since
    assert status.answer is not None
    deadman, job = status.answer.deadman, status.answer.job
    notes = []
    if deadman is not None:
        notes.append(_deadman_note(deadman))
    if job is not None and status.state in ("failed", "died"):
        code = "" if job.exit is None else f"exit code {job.exit.exit_code}: "
        notes.append(code + (job.log_tail[-1] if job.log_tail else "its log is empty"))
    elif job is not None and job.headline:
        notes.append(job.headline)
    return " ".join(filter(None, notes))


def _deadman_note(deadman: DeadmanStatus) -> str:
    if deadman.fired is not None and not deadman.stops_instance:
        return "dead-man fired, and has no stop command: still paid."
    if not deadman.alive:  # fired or not: the box was started again since
        return "DEAD-MAN IS NOT RUNNING: arm it again by up --max-hours."
    if deadman.fired is not None:
        code = deadman.fired.stop_exit_code
        if code:
            return f"dead-man fired, but its stop command fails with exit code {code}: still paid."
        if code is None:
            return "dead-man fired."
        return "dead-man fired: its stop command ran, and the box still answers: still paid."
    return "" if deadman.stops_instance else "dead-man ends the job, not the rent."
