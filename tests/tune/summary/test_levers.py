"""Each lever that was tried has a row, which says what became of it."""

import pytest

from finals_trials import EXPLORED, config, ended
from tune.search.candidates import result_of
from tune.search.levers import Lever, with_lever
from tune.search.objective import Objective
from tune.search.result import Kind
from tune.search.trial import Stage, Trial
from tune.summary import levers

WINNER = config(4)
FAST, SLOW = (
    with_lever(WINNER, Lever(name=name, variables={name: "1"})) for name in ("FAST", "SLOW")
)


def rows_of(trials: list[Trial]) -> list[tuple[str, str]]:
    result = result_of(
        tuple(trials),
        objective=Objective.THROUGHPUT,
        baseline=config(1),
        stop_reason="",
        partial=False,
        wall_s=1.0,
    )
    return levers.rows(result, result.chosen[Kind.FASTEST])


@pytest.mark.parametrize(
    ("in_finals", "says"),
    [
        ([480.0, 480.0], "kept"),
        ([401.0, 401.0], "not kept: its finals did not show it"),
        ([], "not kept: it came to no finals"),
    ],
)
def test_a_row_says_what_a_lever_gained_and_whether_the_finals_showed_it(
    in_finals: list[float], says: str
) -> None:
    speeds = {"4": WINNER, "fast": FAST, "slow": SLOW}
    tried = [("4", 400.0), ("fast", 480.0), ("slow", 390.0), ("fast", 480.0), ("4", 400.0)]
    trials = [
        *EXPLORED,
        *(ended(WINNER, 400.0, stage=Stage.FINAL),) * 2,
        *(ended(speeds[name], speed) for name, speed in tried),
        # Leaner, so that nothing but its variables speaks against it where it is no faster.
        *(ended(FAST, speed, stage=Stage.FINAL, device_bytes=99) for speed in in_finals),
    ]
    (label, first), (_, second) = rows_of(trials)
    assert label == "lever"
    assert first.startswith("FAST=1: 1.20 x (")
    assert first.endswith(f"), {says}")
    assert second.startswith("SLOW=1: 0.97 x (")
    assert second.endswith("), no gain beyond noise")


def test_a_sure_gain_of_less_than_a_percent_is_not_called_noise() -> None:
    tried = [("4", 400.0), ("fast", 403.84), ("fast", 403.84), ("4", 400.0)] * 4
    speeds = {"4": WINNER, "fast": FAST}
    trials = [
        *EXPLORED,
        *(ended(WINNER, 400.0, stage=Stage.FINAL, peak_device_bytes=100),) * 2,
        *(ended(speeds[name], speed, peak_device_bytes=100) for name, speed in tried),
    ]
    [(_, text)] = rows_of(trials)
    assert text.startswith("FAST=1: 1.0096 x (")
    assert text.endswith("), it gains less than 1 %")
