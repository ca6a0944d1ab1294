"""Searches for what learns fastest: trials that trained from scratch, on curves of a formula."""

import dataclasses
import math
import random
from typing import Any

import searches
from factories import measurement
from search_spaces.config import Config
from trainables.curve import LearningCurve
from trainables.measurement import OutcomeKind
from tune.run_folder.record import SearchContext
from tune.search.candidates import result_of
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.result import SearchResult
from tune.search.trial import Stage, Trial

MOST = 500.0
"""The return that every training comes to in the end."""

TRAINING_S = 60.0


def config(num_envs: int, num_steps: int = 128) -> Config:
    return searches.BASELINE | {"num_envs": num_envs, "num_steps": num_steps, "batch_size": 2048}


def curve(
    slowness_s: float, seed: int, *, target: float | None = None, behind_s: float | None = None
) -> LearningCurve:
    """A noisy curve that is at 63 % of `MOST` after so many seconds; it ends at the target."""
    noise = random.Random(f"{slowness_s} {seed}")
    own_s = slowness_s * math.exp(noise.gauss(0.0, 0.15))
    ends_s = TRAINING_S if behind_s is None else behind_s
    seconds, returns = [0.4], [20.0]
    while seconds[-1] < ends_s and (target is None or returns[-1] < target):
        seconds.append(min(1.09 * seconds[-1] + 0.2, ends_s))
        share = 1.0 - math.exp(-((seconds[-1] / own_s) ** 1.5))
        returns.append(20.0 + (MOST - 20.0) * share * (1.0 + noise.gauss(0.0, 0.03)))
    return LearningCurve(
        seconds=tuple(seconds),
        env_steps=tuple(round(50_000 * moment) for moment in seconds),
        returns=tuple(returns),
        held_out=True,
        fell_behind=behind_s is not None,
    )


def trained(
    number: int, of: Config, speed: float, told: LearningCurve | None, **changes: Any
) -> Trial:
    """A training that tells this curve."""
    return _with_speed(
        searches.ended(number, of, OutcomeKind.COMPLETED, stage=Stage.LEARN),
        speed,
        curve=told,
        **changes,
    )


def trials(*, target: float | None = None, hard: float = 1.0) -> tuple[Trial, ...]:
    """Exploring of nine configurations, and their trainings: the best four with several seeds.

    The fastest learns more slowly than the best; two fall behind. A `hard` task takes so many times
    as long.
    """
    plan = [
        (searches.BASELINE, 21_000.0, 16.0, 3),
        (config(1024), 96_000.0, 13.0, 3),
        (config(256), 74_000.0, 6.5, 3),
        (config(512), 83_000.0, 7.0, 2),
        (config(128), 58_000.0, 9.0, 1),
        (config(512, 32), 80_500.0, 10.5, 1),
        (config(64), 40_000.0, 11.0, 1),
        (config(1024, 32), 92_000.0, 60.0, 1),
        (config(32), 26_000.0, 75.0, 1),
    ]
    explored = [
        _with_speed(searches.ended(number, of, OutcomeKind.COMPLETED, stage=stage), speed)
        for number, (of, speed, _, _) in enumerate(plan)
        for stage in [Stage.SEARCH if number else Stage.BASELINE]
    ]
    learned = [
        (of, speed, slowness_s, seed)
        for of, speed, slowness_s, num_seeds in plan
        for seed in range(num_seeds)
    ]
    return (
        *explored,
        *(
            trained(
                len(explored) + number,
                of,
                0.97 * speed,
                curve(
                    hard * slowness_s,
                    seed,
                    target=target,
                    behind_s=35.0 if slowness_s > 50.0 else None,
                ),
            )
            for number, (of, speed, slowness_s, seed) in enumerate(learned)
        ),
    )


def context(target: float | None = None) -> SearchContext:
    """The context of a search for learning, whose trainings take a minute at most."""
    return dataclasses.replace(
        searches.record().context,
        objective=Objective.LEARNING,
        learning=LearningPlan(training_s=TRAINING_S, target=target),
    )


def result(all_trials: tuple[Trial, ...], target: float | None = None) -> SearchResult:
    """The result of a search that came to these trials."""
    return result_of(
        all_trials,
        objective=Objective.LEARNING,
        baseline=searches.BASELINE,
        stop_reason="every configuration of the space was tried",
        partial=False,
        wall_s=400.0,
        learning=context(target).learning,
    )


def _with_speed(trial: Trial, speed: float, **changes: Any) -> Trial:
    assert trial.outcome is not None
    figures = measurement(
        steps_per_second=speed, low=0.98 * speed, high=1.02 * speed, health={}, **changes
    )
    return dataclasses.replace(
        trial, outcome=dataclasses.replace(trial.outcome, measurement=figures)
    )
