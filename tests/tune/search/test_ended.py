"""A reader of what ended: each trial once, and few are looked at."""

import dataclasses

from counted_trials import CountedTrials
from factories import outcome, trial
from tune.search.ended import Ended


def test_each_trial_is_told_once_when_it_has_ended() -> None:
    ended = Ended()
    trials = [trial(number=number, outcome=None) for number in range(3)]
    assert ended.since(trials) == []
    trials[1] = dataclasses.replace(trials[1], outcome=outcome())
    trials.append(trial(number=3))
    assert [one.number for one in ended.since(trials)] == [1, 3]
    trials[0] = dataclasses.replace(trials[0], outcome=outcome())
    assert [one.number for one in ended.since(trials)] == [0]
    assert ended.since(trials) == []


def test_only_what_is_new_or_ran_is_looked_at() -> None:
    ended, trials = Ended(), [trial(number=number) for number in range(1000)]
    trials[7] = dataclasses.replace(trials[7], outcome=None)
    ended.since(trials)
    counted = CountedTrials([*trials, trial(number=1000)])
    assert [one.number for one in ended.since(counted)] == [1000]
    assert counted.num_read <= 5
