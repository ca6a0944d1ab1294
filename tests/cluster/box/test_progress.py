"""Progress is what the events say."""

import json
from typing import Any

import pytest

from cluster.box import progress


def trial(number: int, speed: float | None, kind: str = "completed") -> dict[str, Any]:
    measurement = None if speed is None else {"steps_per_second": speed}
    return {
        "event": "trial_ended",
        "trial": {
            "number": number,
            "config": {"num_envs": number},
            "outcome": {"kind": kind, "measurement": measurement},
        },
    }


STARTED = {"event": "started", "task": "t", "max_runs": 9, "max_time_s": None}


FINISHED = {
    "event": "finished",
    "headline": "h",
    "succeeded": True,
    "chosen": {"fastest": {"steps_per_second": 7.0, "config": {"num_envs": 1}}},
}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {"num_trials": 0}),
        ([STARTED], {"num_trials": 0, "max_runs": 9}),
        ([trial(0, 5.0), trial(1, 9.0), trial(2, 7.0)], {"best_steps_per_second": 9.0}),
        ([trial(0, 5.0), trial(1, 9.0, kind="slow")], {"best_steps_per_second": 5.0}),
        ([trial(0, None, kind="device_memory")], {"num_trials": 1}),
        ([trial(0, 5.0), trial(0, 5.0)], {"num_trials": 1}),
        ([trial(0, 9.0), FINISHED], {"best_steps_per_second": 7.0, "stage": "finished"}),
        ([FINISHED, STARTED], {"num_trials": 0, "best_steps_per_second": 7.0}),
        ([{"event": "from the future"}], {"num_trials": 0}),
    ],
)
def test_progress_is_what_the_events_say(
    events: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    state = progress.read(json.dumps(event) for event in events)
    assert {name: getattr(state, name) for name in expected} == expected


def test_lines_that_are_no_events_are_passed_over() -> None:
    lines = ["", "a library prints", '{"event": "star', "[1]", json.dumps(trial(0, 5.0))]
    assert progress.read(lines).num_trials == 1


def test_trials_of_two_kinds_of_gpus_are_counted_apart() -> None:
    of_each = [trial(0, 5.0) | {"machine_class": name} for name in ("l4", "t4", "l4")]
    found = progress.read(map(json.dumps, of_each))
    assert found.num_trials == 2
