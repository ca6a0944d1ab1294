"""Trainings from scratch whose learning is known: a curve that rises to 100 in so many seconds."""

import math
from collections.abc import Sequence

from factories import measurement, outcome, trial
from search_spaces.config import Config, num_samples
from trainables.curve import LearningCurve, TrainingRequest
from trainables.measurement import Outcome
from trainables.training import Trainer
from tune.search.trial import Stage, Trial

TOP = 100.0
"""The return that every training comes to, in the end."""


def curve(
    seconds_to_top: float, *, until_s: float, num_points: int = 100, top: float = TOP
) -> LearningCurve:
    """A straight rise from 0 to the top, and level after it."""
    seconds = [until_s * (place + 1) / num_points for place in range(num_points)]
    return LearningCurve(
        seconds=tuple(seconds),
        env_steps=tuple(round(1000 * s) for s in seconds),
        returns=tuple(min(top, top * s / seconds_to_top) for s in seconds),
    )


def trained(
    config: Config,
    seconds_to_top: float,
    *,
    number: int = 0,
    until_s: float = 20.0,
    speed: float = 1000.0,
    compile_s: float = 0.0,
    disturbed: bool = False,
    top: float = TOP,
) -> Trial:
    """A training that was not ended before `until_s`."""
    return trial(
        number=number,
        stage=Stage.LEARN,
        config=config,
        outcome=outcome(
            measurement=measurement(
                steps_per_second=speed,
                compile_s=compile_s,
                disturbed=disturbed,
                env_steps_per_update=num_samples(config) or 1,
                curve=curve(seconds_to_top, until_s=until_s, top=top),
            )
        ),
    )


def numbered(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with the numbers of their order."""
    return [
        trial(number=number, stage=t.stage, config=t.config, outcome=t.outcome)
        for number, t in enumerate(trials)
    ]


def learning_s(config: Config, speed: float, *, seed: int = 0) -> float:
    """Seconds to the top: small batches and small updates learn more per sample."""
    batch, samples = config["batch_size"], num_samples(config) or 0
    noise = math.exp(0.1 * math.sin(1.7 * seed + math.log2(samples) + 3 * math.log2(batch)))
    return float(noise * 20_000 / speed * (1 + batch / 2048) * (1 + samples / 16_384))


def train(config: Config, request: TrainingRequest, speed: float) -> Outcome:
    """The outcome of a training under the product's own rules."""
    trainer, needed_s = Trainer(request), learning_s(config, speed, seed=request.seed)
    seconds = 0.0
    while trainer.verdict is None:
        seconds += max(1e-3, trainer.next_stretch_s(seconds))
        trainer.take(
            seconds, round(speed * seconds), min(TOP, TOP * seconds / needed_s), held_out=False
        )
    return outcome(
        wall_s=seconds + 3.0,
        message=trainer.verdict,
        measurement=measurement(
            steps_per_second=speed,
            compile_s=1.0,
            curve=trainer.curve,
            env_steps_per_update=num_samples(config) or 1,
        ),
    )
