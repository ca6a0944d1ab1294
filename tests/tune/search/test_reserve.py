"""The part of --max-time that is kept for trainings, finals and soak."""

import math

import pytest

from factories import measurement, outcome, trial
from tune.search import trainings
from tune.search.finals import FinalsPlan, typical_s
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.reserve import expected_s, least_soak_s, num_affordable, reserved_s
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
EXPLORING = Exploring(num_runs=4, num_ended=4, num_waited=3, run_s=10.0, explored_s=10.0)
"""What those four tell, when the first was the best."""

PLAN = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=30)
"""Eight finals of 10 s, one trial more, and a soak of 30 s: 120 s."""

LEARNING = LearningPlan(training_s=20.0, num_first=3, num_seeds=2)
"""Five trainings of 20 s, and of the 10 s in which a trial starts and ends."""


@pytest.mark.parametrize(
    ("runs", "learning", "max_time_s", "kept_s"),
    [
        (RUNS, None, None, 120.0),
        (RUNS, None, 1000.0, 120.0),
        (RUNS, LEARNING, 1000.0, 120.0 + 5 * 30.0),
        (RUNS, None, 180.0, 90.0),  # half; all rounds of two need 5 x 10 s and a soak of 40 s
        (RUNS, LEARNING, 400.0, 240.0),  # those, and the trainings
        (RUNS, LEARNING, 200.0, 150.0),  # no more than three quarters
        ([], None, 1000.0, 30.0),
    ],
)
def test_what_comes_after_exploring_has_its_time(
    runs: list[Trial], learning: LearningPlan | None, max_time_s: float | None, kept_s: float
) -> None:
    trained_s = 0.0 if learning is None else trainings.expected_s(runs, learning)
    found_s = reserved_s(typical_s(runs), PLAN, BEST, max_time_s, trained_s=trained_s)
    assert found_s == pytest.approx(kept_s)


def test_a_soak_takes_so_long_at_least() -> None:
    assert least_soak_s(PLAN) == 40.0
    assert least_soak_s(FinalsPlan(soak_updates=0)) == 0.0


SHORT = LearningPlan(num_first=20)
FINAL = trial(number=8, stage=Stage.FINAL, outcome=outcome(wall_s=12.0))
LEARN = trial(number=7, stage=Stage.LEARN, outcome=outcome(wall_s=200.0))
SOAK = trial(number=9, stage=Stage.SOAK, outcome=None)


def rules(*, learning: LearningPlan | None = None, num_parallel: int = 1) -> SearchRules:
    stopping = Stopping(
        max_runs=24, max_time_s=None, patience=8, min_gain=0.02, num_parallel=num_parallel
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
    ("remaining_s", "num_beside", "number"),
    [(None, 1, math.inf), (40.0, 1, 0), (40.0 + 25.0, 1, 2), (40.0 + 25.0, 4, 8)],
)
def test_as_many_finals_as_the_time_beside_the_soak_has_room_for(
    remaining_s: float | None, num_beside: int, number: float
) -> None:
    assert num_affordable([FINAL], PLAN, remaining_s, num_beside=num_beside) == number
