"""Trials that were lost: run again, once."""

import factories
from trainables.measurement import OutcomeKind
from tune.search.stopping import is_run_again

LOST = factories.failed(OutcomeKind.NODE_LOST, "killed.")


def test_a_lost_trial_is_run_again_once() -> None:
    config, other = {"num_envs": 1}, {"num_envs": 2}
    first = factories.trial(number=0, config=config, outcome=LOST)
    done = factories.trial(number=1, config=other)
    second = factories.trial(number=2, config=config, outcome=LOST)
    elsewhere = factories.trial(number=3, config=other, outcome=LOST)
    trials = (first, done, second, elsewhere)
    assert [is_run_again(trial, trials) for trial in trials] == [True, False, False, True]
