"""The part of --max-time that is kept for trainings, finals and soak."""

import dataclasses
import math

import pytest

from factories import measurement, outcome, trial
from tune.search.finals import Affordable, FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.reserve import affordable, expected_s, least_soak_s, reserved_s, sampling_of
from tune.search.rules import SearchRules
from tune.search.stopping import Exploring, Stopping
from tune.search.trial import Stage, Trial

RUNS = [trial(number=number, outcome=outcome(wall_s=10.0)) for number in range(4)]
BEST = trial(
    outcome=outcome(
        wall_s=10.0,
        measurement=measurement(env_steps_per_update=1000, steps_per_second=1000.0),
    )
)
EXPLORING = Exploring(
    num_runs=4,
    num_ended=4,
    num_waited=3,
    run_s=10.0,
    explored_s=10.0,
    final_s=10.0,
    start_s=6.0,
)
"""What those four tell, when the first was the best."""

PLAN = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=30)
"""Eight finals of 10 s, and a soak of 30 s: 110 s."""

LEARNING = LearningPlan(training_s=20.0, num_first=3, num_seeds=2)
"""Five trainings of 20 s, and of the 10 s in which a trial starts and ends."""


@pytest.mark.parametrize(
    ("best", "final_s", "first_s", "max_time_s", "kept_s"),
    [
        (BEST, 10.0, 10.0, None, 120.0),
        (BEST, 10.0, 10.0, 1000.0, 120.0),
        (BEST, 10.0, 150.0, 1000.0, 260.0),
        # Half; four finals of the best and the baseline, a soak of 6 + 20 s and the 5 s at the end
        # need 81 s with what comes first.
        (BEST, 10.0, 10.0, 180.0, 90.0),
        (BEST, 10.0, 10.0, 140.0, 81.0),
        (BEST, 10.0, 60.0, 200.0, 131.0),  # with what comes first
        (BEST, 20.0, 10.0, 180.0, 121.0),  # a final takes longer than what explored
        (BEST, 40.0, 10.0, 180.0, 135.0),  # no more than three quarters
        (None, 0.0, 30.0, 1000.0, 30.0),
    ],
)
def test_what_comes_after_exploring_has_its_time(
    best: Trial | None, final_s: float, first_s: float, max_time_s: float | None, kept_s: float
) -> None:
    exploring = dataclasses.replace(EXPLORING, final_s=final_s)
    found_s = reserved_s(rules(max_time_s=max_time_s), exploring, best, first_s)
    assert found_s == pytest.approx(kept_s)


def test_a_soak_takes_so_long_at_least() -> None:
    assert least_soak_s(PLAN, 7.0) == 7.0 + 20.0
    assert least_soak_s(FinalsPlan(soak_updates=0), 7.0) == 0.0


SHORT = LearningPlan(num_first=20)
FINAL = trial(number=8, stage=Stage.FINAL, outcome=outcome(wall_s=12.0))
LEARN = trial(number=7, stage=Stage.LEARN, outcome=outcome(wall_s=200.0))
SOAK = trial(number=9, stage=Stage.SOAK, outcome=None)


def rules(
    *,
    learning: LearningPlan | None = None,
    num_parallel: int = 1,
    max_time_s: float | None = None,
) -> SearchRules:
    stopping = Stopping(
        max_runs=24, max_time_s=max_time_s, patience=8, min_gain=0.02, num_parallel=num_parallel
    )
    return SearchRules(
        objective=Objective.THROUGHPUT, stopping=stopping, finals=PLAN, seed=0, learning=learning
    )


@pytest.mark.parametrize(
    ("later", "learning", "num_parallel", "left_s"),
    [
        ([], None, 1, 80.0 + 80.0 + 30.0),  # eight trials, eight finals, the soak
        ([], None, 4, 20.0 + 80.0 + 30.0),  # finals run alone
        ([], LEARNING, 1, 80.0 + 80.0 + 30.0 + 5 * 30.0),
        ([], SHORT, 1, 80.0 + 80.0 + 30.0 + (40.0 + 80.0)),  # as long as exploring
        # Two trainings of five are left, however long those before them took.
        ([LEARN] * 3, LEARNING, 1, 80.0 + 30.0 + 2 * 200.0),
        ([FINAL], None, 1, 7 * 12.0 + 30.0),
        ([FINAL] * 8 + [SOAK], None, 1, 0.0),
        ([FINAL] * 9 + [SOAK], None, 1, 0.0),
    ],
)
def test_a_search_takes_what_its_trials_took_so_often_still(
    later: list[Trial], learning: LearningPlan | None, num_parallel: int, left_s: float
) -> None:
    search_rules = rules(learning=learning, num_parallel=num_parallel)
    found = expected_s([*RUNS, *later], search_rules, EXPLORING, BEST)
    assert found == pytest.approx(left_s)


def test_before_anything_was_measured_nothing_is_known() -> None:
    assert expected_s([], rules(), EXPLORING, None) is None


@pytest.mark.parametrize(
    ("remaining_s", "num_beside", "num", "num_needed"),
    [
        (None, 1, math.inf, math.inf),
        (34.0, 1, 0, 0),
        (33.0 + 12.0, 1, 1, 1),
        (33.0 + 14.0, 1, 1, 2),
        (33.0 + 14.0, 4, 4, 8),
    ],
)
def test_as_many_finals_as_the_time_beside_the_soak_has_room_for(
    remaining_s: float | None, num_beside: int, num: float, num_needed: float
) -> None:
    """A final of 12 s is not measured for 8: a soak takes 8 + 20 s, or 8 + 10, and the end 5 s."""
    found = affordable([FINAL], PLAN, remaining_s, num_beside=num_beside)
    assert (found.num, found.num_needed) == (num, num_needed)


def test_before_anything_was_measured_no_final_is_too_many() -> None:
    assert affordable([trial(outcome=None)], PLAN, 100.0) == Affordable()


def test_without_a_soak_none_is_cut_short() -> None:
    plan = dataclasses.replace(PLAN, soak_updates=0)
    assert affordable([FINAL], plan, 5.0 + 30.0) == Affordable(num=2, num_needed=2)


@pytest.mark.parametrize(
    ("stage", "remaining_s", "measures_s"),
    [
        (Stage.BASELINE, 113.0, 8.0),
        (Stage.SEARCH, 113.0, 8.0),
        (Stage.FINAL, 113.0, 15.0),
        (Stage.LEVER, 113.0, 15.0),
        (Stage.SOAK, 113.0, 100.0),
        (Stage.SOAK, 25.0, 12.0),
        (Stage.SOAK, 20.0, 10.0),
        (Stage.SOAK, 5000.0, 600.0),
        (Stage.SOAK, None, 600.0),
    ],
)
def test_finals_measure_longer_and_a_soak_until_the_time_is_up(
    stage: Stage, remaining_s: float | None, measures_s: float
) -> None:
    assert sampling_of(stage, [*RUNS, FINAL], remaining_s).max_measure_s == measures_s
