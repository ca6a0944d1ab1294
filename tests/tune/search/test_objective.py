import statistics
from typing import Any

import pytest

from factories import measurement, outcome, trial
from tune.search.objective import (
    SAMPLE_SCALES,
    Objective,
    learning_per_sample,
    required_speed,
    score,
    typical_noise_scale,
)
from tune.search.trial import Trial


@pytest.mark.parametrize(
    ("objective", "batch_size", "noise_scale", "expected"),
    [
        (Objective.THROUGHPUT, 8192, 100.0, 1000.0),
        (Objective.BALANCED, 100, 100.0, 500.0),
        (Objective.BALANCED, 300, 100.0, 250.0),
        (Objective.BALANCED, 100, None, 1000.0),
        (Objective.BALANCED, None, 100.0, 1000.0),
    ],
)
def test_balanced_discounts_batches_larger_than_the_noise(
    objective: Objective, batch_size: int | None, noise_scale: float | None, expected: float
) -> None:
    config = {} if batch_size is None else {"batch_size": batch_size}
    value = score(objective, config=config, steps_per_second=1000.0, noise_scale=noise_scale)
    assert value == pytest.approx(expected)


def test_balanced_discounts_the_samples_of_an_update_by_the_mean_of_their_scales() -> None:
    few, many = {"num_envs": 64, "num_steps": 32}, {"num_envs": 4096, "num_steps": 32}
    alone = {"num_envs": 4096}
    assert learning_per_sample(alone, None) == 1.0
    factors = [(1 + 2048 / n0) / (1 + 131_072 / n0) for n0 in SAMPLE_SCALES]
    ratio = learning_per_sample(many, None) / learning_per_sample(few, None)
    assert ratio == pytest.approx(statistics.geometric_mean(factors))
    speeds = [
        score(objective, config=many, steps_per_second=5000.0, noise_scale=None)
        / score(objective, config=few, steps_per_second=1000.0, noise_scale=None)
        for objective in (Objective.THROUGHPUT, Objective.BALANCED)
    ]
    assert speeds == pytest.approx([5.0, 5.0 * ratio])


@pytest.mark.parametrize(
    ("objective", "utilization", "expected"),
    [
        (Objective.BALANCED, 100.0, 1000.0),
        (Objective.BALANCED, 50.0, 950.0),
        (Objective.BALANCED, 0.0, 900.0),
        (Objective.BALANCED, None, 1000.0),
        (Objective.THROUGHPUT, 0.0, 1000.0),
    ],
)
def test_balanced_discounts_a_gpu_that_idles_by_a_tenth_at_most(
    objective: Objective, utilization: float | None, expected: float
) -> None:
    value = score(
        objective,
        config={},
        steps_per_second=1000.0,
        noise_scale=None,
        gpu_utilization=utilization,
    )
    assert value == pytest.approx(expected)


def test_the_required_speed_scores_just_as_much() -> None:
    config = {"num_envs": 256, "num_steps": 64, "batch_size": 4096}
    speed = required_speed(Objective.BALANCED, config=config, best_score=700.0, noise_scale=1000.0)
    again = score(Objective.BALANCED, config=config, steps_per_second=speed, noise_scale=1000.0)
    assert again == pytest.approx(700.0)


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ([], None),
        ([None], None),
        ([10.0, None, 30.0, 1000.0], 30.0),
        ([-5.0], None),
        ([10.0, None], 10.0),
        ([10.0, None, None], None),
    ],
)
def test_one_noise_scale_is_used_for_all_and_a_few_by_chance_for_none(
    scales: list[float | None], expected: float | None
) -> None:
    trials = [trial_with(scale) for scale in scales]
    assert typical_noise_scale(trials) == expected


def test_a_trial_of_one_minibatch_cannot_know_the_noise_scale() -> None:
    alone = {"num_envs": 8, "num_steps": 4, "batch_size": 32}
    trials = [trial_with(10.0), *(trial_with(None, config=alone) for _ in range(3))]
    assert typical_noise_scale(trials) == 10.0


def trial_with(scale: float | None, **changes: Any) -> Trial:
    health = {} if scale is None else {"gradient_noise_scale": scale}
    return trial(outcome=outcome(measurement=measurement(health=health)), **changes)
