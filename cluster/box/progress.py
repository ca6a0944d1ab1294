"""The progress of a search, from the JSON lines that it prints. Stdlib only, pure."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """The progress of a search; `None` stands for what it has not said yet.

    `num_trials` counts trials that ended. `best_steps_per_second` is the highest seen so far, and
    the search's own word once it has finished.
    """

    num_trials: int = 0
    task: str | None = None
    max_runs: int | None = None
    max_time_s: float | None = None
    stage: str | None = None
    phase: str | None = None
    best_steps_per_second: float | None = None
    best_config: dict[str, Any] | None = None
    dashboard_url: str | None = None
    headline: str | None = None
    succeeded: bool | None = None


def read(lines: Iterable[str]) -> SearchProgress:
    """Fold the events of a search, and of its resumptions, into its progress."""
    state: dict[str, Any] = {"num_trials": 0}
    ended: set[tuple[str | None, int]] = set()
    for event in _events(lines):
        kind = event.get("event")
        if kind == "trial_ended":
            # A resumed search may tell of one again; each kind of GPU has trials of its own.
            ended.add((event.get("machine_class"), event["trial"]["number"]))
            state["num_trials"] = len(ended)
        if kind in _CHANGES:
            _CHANGES[kind](state, event)
    return SearchProgress(**state)


def _started(state: dict[str, Any], event: dict[str, Any]) -> None:
    for stale in ("headline", "succeeded", "stage", "phase", "dashboard_url"):
        state.pop(stale, None)  # of an attempt before this one
    state |= {name: event.get(name) for name in ("task", "max_runs", "max_time_s")}


def _dashboard(state: dict[str, Any], event: dict[str, Any]) -> None:
    state["dashboard_url"] = event["url"]


def _trial_started(state: dict[str, Any], event: dict[str, Any]) -> None:
    state |= {"stage": event["trial"]["stage"], "phase": "start"}


def _trial_progress(state: dict[str, Any], event: dict[str, Any]) -> None:
    state["phase"] = event["phase"]


def _trial_ended(state: dict[str, Any], event: dict[str, Any]) -> None:
    speed = _speed(event["trial"])
    if speed is not None and speed > state.get("best_steps_per_second", 0.0):
        state |= {"best_steps_per_second": speed, "best_config": event["trial"]["config"]}


def _finished(state: dict[str, Any], event: dict[str, Any]) -> None:
    state |= {"headline": event["headline"], "succeeded": event["succeeded"], "stage": "finished"}
    state.pop("phase", None)
    if fastest := event["chosen"].get("fastest"):
        state["best_steps_per_second"] = fastest["steps_per_second"]
        state["best_config"] = fastest["config"]


_CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "started": _started,
    "dashboard": _dashboard,
    "trial_started": _trial_started,
    "trial_progress": _trial_progress,
    "trial_ended": _trial_ended,
    "finished": _finished,
}


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # half a line while it is written, or what a library printed
        if isinstance(event, dict):
            yield event


def _speed(trial: dict[str, Any]) -> float | None:
    outcome = trial.get("outcome") or {}
    if outcome.get("kind") != "completed":
        return None
    measurement = outcome.get("measurement") or {}
    speed = measurement.get("steps_per_second")
    return None if speed is None else float(speed)
