"""Trials of exploring and of finals, at the speeds that a test names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from factories import measurement, outcome, trial
from search_spaces.config import Config
from trainables.measurement import OutcomeKind
from tune.search.trial import Stage, Trial


def config(num_envs: int) -> dict[str, int]:
    return {"num_envs": num_envs, "batch_size": 1}


def measured(
    num_envs: int,
    speed: float,
    *,
    stage: Stage = Stage.SEARCH,
    half_width: float = 0.01,
    device_bytes: int = 100,
    noise_scale: float | None = None,
    batch_size: int = 1,
    gpu_utilization: float | None = None,
    peak_device_bytes: int | None = None,
    num_compilations: int | None = 2,
    disturbed: bool = False,
) -> Trial:
    health = {} if noise_scale is None else {"gradient_noise_scale": noise_scale}
    return trial(
        stage=stage,
        config={"num_envs": num_envs, "batch_size": batch_size},
        outcome=outcome(
            predicted_device_bytes=device_bytes,
            measurement=measurement(
                steps_per_second=speed,
                low=speed * (1 - half_width),
                high=speed * (1 + half_width),
                health=health,
                peak_device_bytes=peak_device_bytes,
                num_compilations=num_compilations,
                gpu_utilization=gpu_utilization,
                disturbed=disturbed,
            ),
        ),
    )


def ended(
    of: Config,
    speed: float,
    *,
    stage: Stage = Stage.LEVER,
    first: Mapping[str, float] = {},
    **more: Any,
) -> Trial:
    """A trial of a whole configuration; `first` are the figures of its first update."""
    made = measured(of["num_envs"], speed, stage=stage, half_width=0.001, **more)
    assert made.outcome is not None
    assert made.outcome.measurement is not None
    figures = dataclasses.replace(made.outcome.measurement, first_health=dict(first))
    return dataclasses.replace(
        made, config=of, outcome=dataclasses.replace(made.outcome, measurement=figures)
    )


def died(num_envs: int, stage: Stage, kind: OutcomeKind = OutcomeKind.THREAD_LIMIT) -> Trial:
    return trial(stage=stage, config=config(num_envs), outcome=outcome(kind=kind, measurement=None))


EXPLORED = [
    measured(1, 100.0, stage=Stage.BASELINE),
    measured(2, 200.0),
    measured(4, 400.0),
    measured(8, 300.0),
]
