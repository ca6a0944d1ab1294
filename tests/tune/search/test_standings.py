"""The standing that is kept while a study grows is the one that is read anew."""

import dataclasses

import numpy as np
import pytest

from factories import measurement, outcome, trial
from trainables.measurement import OutcomeKind
from tune.search.objective import Objective
from tune.search.standings import Standings
from tune.search.trial import Stage, Trial

KINDS = (
    OutcomeKind.COMPLETED,
    OutcomeKind.COMPLETED,
    OutcomeKind.SLOW,
    OutcomeKind.DEVICE_MEMORY,
    OutcomeKind.EXCLUDED,
    OutcomeKind.ERROR,
    OutcomeKind.NODE_LOST,
)
STAGES = (Stage.SEARCH, Stage.SEARCH, Stage.GPU, Stage.FINAL)


def ended(one: Trial, rng: np.random.Generator) -> Trial:
    kind = KINDS[rng.integers(len(KINDS))]
    health = {"gradient_noise_scale": float(rng.integers(1, 9))}
    measured = measurement(steps_per_second=float(rng.integers(1, 20)), health=health)
    return dataclasses.replace(
        one,
        outcome=outcome(
            kind=kind,
            measurement=measured if kind.was_measured else None,
            gpus=(f"{rng.integers(2)}",),
        ),
    )


@pytest.mark.parametrize("objective", [Objective.THROUGHPUT, Objective.BALANCED])
def test_what_is_kept_is_what_would_be_read_anew(objective: Objective) -> None:
    rng = np.random.default_rng(0)
    kept, trials, running = Standings(objective, 3), [], []
    for _ in range(300):
        if running and rng.random() < 0.6:
            place = running.pop(rng.integers(len(running)))
            trials[place] = ended(trials[place], rng)
            kept.learn(trials, trials[place])
        elif rng.random() < 0.2:  # a later trial tells that one ran beside a slower machine
            told = [place for place, one in enumerate(trials) if one.outcome is not None]
            if told:
                place = told[rng.integers(len(told))]
                trials[place] = dataclasses.replace(trials[place], machine_share=0.8)
        else:
            stage = STAGES[rng.integers(len(STAGES))]
            config = {"num_envs": int(rng.integers(1, 5)), "num_steps": 8, "batch_size": 8}
            running.append(len(trials))
            trials.append(trial(number=len(trials), stage=stage, config=config, outcome=None))
        now = tuple(trials)
        anew = Standings(objective, 3)
        anew.learn(now)
        assert kept.of(now) == anew.of(now)


def test_the_first_of_the_best_is_the_best() -> None:
    trials = tuple(
        trial(number=n, outcome=outcome(measurement=measurement(steps_per_second=speed)))
        for n, speed in enumerate((1.0, 5.0, 5.0, 2.0))
    )
    assert Standings(Objective.THROUGHPUT, 0).of(trials).best is trials[1]


def test_nothing_is_best_before_anything_was_measured() -> None:
    standing = Standings(Objective.THROUGHPUT, 0).of((trial(number=0, outcome=None),))
    assert (standing.best, len(standing.runs)) == (None, 1)
