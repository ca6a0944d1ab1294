"""How long exploring goes on, and trials that were lost: run again, once."""

import pytest

import factories
from trainables.measurement import OutcomeKind
from tune.search.stopping import Exploring, Gains, Stopping, is_run_again, num_expected
from tune.search.trial import Stage

LOST = factories.failed(OutcomeKind.NODE_LOST, "killed.")


def test_a_lost_trial_is_run_again_once() -> None:
    config, other = {"num_envs": 1}, {"num_envs": 2}
    first = factories.trial(number=0, config=config, outcome=LOST)
    done = factories.trial(number=1, config=other)
    second = factories.trial(number=2, config=config, outcome=LOST)
    elsewhere = factories.trial(number=3, config=other, outcome=LOST)
    trials = (first, done, second, elsewhere)
    assert [is_run_again(trial, trials) for trial in trials] == [True, False, False, True]


@pytest.mark.parametrize(
    ("scores", "max_runs", "left"),
    [
        ([], 24, 12),
        ([], 5, 5),
        ([100.0], 24, 11),
        ([100.0] * 6, 24, 6),
        ([100.0] * 9, 24, 3),
        ([100.0] * 8 + [200.0], 24, 8),  # it waits as long again
        ([100.0] * 8 + [200.0], 12, 3),
        ([100.0] * 40, 24, 0),
    ],
)
def test_exploring_typically_takes_a_few_trials_and_its_patience(
    scores: list[float], max_runs: int, left: int
) -> None:
    stopping = Stopping(max_runs=max_runs, max_time_s=None, patience=8, min_gain=0.02)
    runs = [
        (factories.trial(number=number, stage=Stage.SEARCH), score)
        for number, score in enumerate(scores)
    ]
    gains = Gains(stopping.min_gain)
    gains.count(runs)
    exploring = Exploring(num_runs=len(runs), num_ended=len(runs), num_waited=gains.num_waited)
    assert num_expected(stopping, exploring) == left
