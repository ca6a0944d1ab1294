from typing import Any

import pytest

from factories import measurement, outcome, trial
from tune.search.objective import Objective, required_speed, score, typical_noise_scale
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
    value = score(
        objective, steps_per_second=1000.0, batch_size=batch_size, noise_scale=noise_scale
    )
    assert value == pytest.approx(expected)


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
        steps_per_second=1000.0,
        batch_size=None,
        noise_scale=None,
        gpu_utilization=utilization,
    )
    assert value == pytest.approx(expected)


def test_the_required_speed_scores_just_as_much() -> None:
    speed = required_speed(
        Objective.BALANCED, best_score=700.0, batch_size=4096, noise_scale=1000.0
    )
    again = score(Objective.BALANCED, steps_per_second=speed, batch_size=4096, noise_scale=1000.0)
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
