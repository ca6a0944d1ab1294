"""What each number of GPUs is worth, in words."""

import dataclasses

import pytest

import factories
from tune.search.trial import Stage, Trial
from tune.summary import per_gpu

SIZES = {"num_envs": 256, "num_steps": 128, "batch_size": 8192}


def trial(number: int, speed: float, stage: Stage = Stage.FINAL, num_envs: int = 256) -> Trial:
    config = SIZES | {"num_envs": num_envs, "num_devices": number}
    measured = factories.measurement(steps_per_second=speed, low=0.99 * speed, high=1.01 * speed)
    return factories.trial(
        stage=stage, config=config, outcome=factories.outcome(measurement=measured)
    )


def test_one_number_of_gpus_is_compared_with_nothing() -> None:
    assert per_gpu.rows([trial(2, 1e6)], on_gpu=True) == []
    assert per_gpu.rows([], on_gpu=True) == []


def test_each_number_is_told_by_its_best_and_what_the_rent_gets_otherwise() -> None:
    trials = [
        trial(1, 1.0e6),
        trial(1, 1.3e6, Stage.SEARCH, num_envs=512),  # exploring may be lucky, finals count
        trial(4, 3.2e6),
        trial(2, 1.8e6, Stage.SEARCH),
        trial(2, 1.6e6, Stage.SEARCH, num_envs=512),
    ]
    assert per_gpu.rows(trials, on_gpu=True) == [
        ("1 GPU", "1.00 M env steps/s, 1.00 M for each (100%): 256 x 128, 4 minibatches, 1 device"),
        (
            "2 GPUs",
            "1.80 M env steps/s, 900 K for each (90%): 256 x 128, 4 minibatches, 2 devices, "
            "explored only",
        ),
        ("4 GPUs", "3.20 M env steps/s, 800 K for each (80%): 256 x 128, 4 minibatches, 4 devices"),
        (
            "for the same rent",
            "4 trainings on 1 GPU step 1.25 x what one on 4 GPUs does, "
            "2 trainings on 2 GPUs step 1.12 x, if none slows another down",
        ),
    ]


def test_a_number_that_was_never_measured_in_quiet_says_so() -> None:
    noisy = dataclasses.replace(trial(2, 1.2e6), machine_share=0.8)
    rows = per_gpu.rows([trial(1, 1.0e6), noisy], on_gpu=True)
    assert [text.endswith(", measured while disturbed") for _, text in rows[:2]] == [
        False,
        True,
    ]


def test_simulated_devices_are_not_called_gpus_and_cost_nothing() -> None:
    rows = per_gpu.rows([trial(1, 1.0e6), trial(2, 1.2e6)], on_gpu=False)
    assert [label for label, _ in rows] == ["1 device", "2 devices"]


def test_three_gpus_are_no_trainings_on_two() -> None:
    rows = per_gpu.rows([trial(2, 1.0e6), trial(3, 1.2e6)], on_gpu=True)
    assert rows[-1] == ("for the same rent", "")  # the conclusion leaves it out


@pytest.mark.parametrize(
    ("searches", "said"),
    [
        ((), ""),
        (("l4",), "l4 was searched on this machine at the same time"),
        (("l4", "t4"), "l4 and t4 were searched on this machine at the same time"),
    ],
)
def test_searches_of_the_other_kinds_of_gpus_are_told(searches: tuple[str, ...], said: str) -> None:
    assert per_gpu.beside(factories.result(), searches) == said
