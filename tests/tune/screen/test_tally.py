"""The tally of the live table says what all trials say, and reads each but once."""

import dataclasses

import numpy as np
import pytest

from counted_trials import CountedTrials
from factories import measurement, outcome, trial
from trainables.measurement import OutcomeKind
from tune.screen import trials_table
from tune.screen.tally import Tally
from tune.search.trial import Trial
from tune.summary.trials import fixed_values

REFUSED = outcome(kind=OutcomeKind.EXCLUDED, measurement=None)


@pytest.mark.parametrize("seed", range(3))
def test_a_tally_that_grew_says_what_all_trials_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tally, trials = Tally(), list[Trial]()
    for _ in range(60):
        running = [place for place, one in enumerate(trials) if one.outcome is None]
        if running and rng.random() < 0.5:
            speed = measurement(steps_per_second=float(rng.integers(1, 9)))
            place = running[rng.integers(len(running))]
            ended = REFUSED if rng.random() < 0.2 else outcome(measurement=speed)
            trials[place] = dataclasses.replace(trials[place], outcome=ended)
        else:
            config = {"num_envs": int(rng.integers(1, 9)), "a": 1, "b": int(rng.random() < 0.9)}
            trials.append(trial(number=len(trials), config=config, outcome=None))
        tally.read(trials)
        speeds = [
            (one.measurement.steps_per_second, one.number) for one in trials if one.measurement
        ]
        assert tally.fixed == fixed_values(trials)
        assert tally.best_number == (max(speeds)[1] if speeds else None)
        assert tally.num_excluded == sum(not one.was_run for one in trials)


def test_a_refresh_reads_as_many_trials_as_it_shows_however_many_there_are() -> None:
    trials = [trial(number=number) for number in range(2000)]
    tally = Tally()
    tally.read(trials)
    counted = CountedTrials([*trials, trial(number=2000)])
    trials_table.render(counted, {}, width=80, most_rows=15, tally=tally)
    assert counted.num_read < 30
