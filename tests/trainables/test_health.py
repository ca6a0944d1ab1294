"""Metrics of a training: what is kept of them, and what is no metric."""

import math
from typing import Any

import numpy as np
import pytest

import fake_workloads
from trainables.health import health_of, held_out_return, require_return
from trainables.workload import WorkloadInputError


class Telling:
    """A workload that tells this of itself, and this of its held-out episodes."""

    env_steps_per_update = 100

    def __init__(self, health: Any, evaluated: Any = None) -> None:
        self.told = health
        self.evaluated = evaluated

    def run(self, num_updates: int) -> None: ...

    def health(self) -> Any:
        return self.told

    def evaluate(self) -> Any:
        return self.evaluated


SILENT = fake_workloads.Sleeper({}, {})


def test_a_workload_without_metrics_has_none() -> None:
    assert health_of(SILENT) == {}
    assert held_out_return(SILENT) is None


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"loss": np.array([1.0, 3.0]), "entropy": np.float32(0.5)}, {"loss": 2.0, "entropy": 0.5}),
        ({"mean_return": math.nan, "Episode_Length": math.nan, "loss": 1}, {"loss": 1.0}),
        ({"gradient_noise_scale": math.inf}, {}),
        ({"gradient_noise_scale": math.nan}, {}),
        ({"gradient_noise_scale": 512}, {"gradient_noise_scale": 512.0}),
        ({"mean_return": math.inf}, {"mean_return": math.inf}),  # that is an instability
    ],
)
def test_metrics_are_numbers_and_what_has_no_value_yet_is_left_out(
    told: dict[str, Any], kept: dict[str, float]
) -> None:
    health = health_of(Telling(told))
    assert health == kept
    assert all(type(value) is float for value in health.values())


def test_a_loss_that_is_no_number_any_more_is_kept() -> None:
    assert math.isnan(health_of(Telling({"loss": math.nan}))["loss"])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([1.0], "health() must give a mapping of names to numbers, got list."),
        (None, "health() must give a mapping of names to numbers, got NoneType."),
        ({f"m{n}": 0.0 for n in range(257)}, "health() has 257 metrics, at most 256 are kept"),
        ({"two\nlines": 0.0}, "health() has the name 'two\\nlines', which is no printable word"),
        ({"x" * 201: 0.0}, "which is no printable word"),
        ({3: 0.0}, "health() has the name 3, which is no printable word"),
        ({"loss": "high"}, "health() has loss = 'high', which is no number and no array"),
    ],
)
def test_what_is_no_metric_is_said(told: Any, words: str) -> None:
    with pytest.raises(WorkloadInputError) as error:
        health_of(Telling(told))
    assert words in str(error.value)


def test_as_many_metrics_as_are_kept_are_kept() -> None:
    assert len(health_of(Telling({f"m{n}": 0.0 for n in range(256)}))) == 256
    assert len(health_of(Telling({"x" * 200: 0.0}))) == 1


@pytest.mark.parametrize(
    ("evaluated", "value"), [(None, None), (0, 0.0), (np.float32(2.5), 2.5), (np.array(-3), -3.0)]
)
def test_a_held_out_return_is_a_number(evaluated: Any, value: float | None) -> None:
    found = held_out_return(Telling({}, evaluated))
    assert found == value
    assert type(found) is type(value)  # one of NumPy's own would not go through the wire


def test_a_held_out_return_that_is_none_is_said() -> None:
    with pytest.raises(WorkloadInputError, match=r"evaluate\(\) returned 'good', which is no"):
        held_out_return(Telling({}, "good"))


@pytest.mark.parametrize(
    "workload",
    [
        Telling({"mean_return": 3.0, "loss": 1.0}),
        Telling({"mean_return": math.nan}),  # no episode has ended yet
        Telling({"loss": 1.0}, evaluated=0.0),
        Telling({}, evaluated=-3.0),
    ],
)
def test_a_return_may_come_from_either(workload: Telling) -> None:
    require_return(workload)


@pytest.mark.parametrize(
    ("workload", "told"),
    [
        (
            SILENT,
            "give its health() a 'mean_return' (NaN until an episode has ended), or give it",
        ),
        (Telling({}), "tells no metrics at all"),
        (Telling({"loss": 1.0, "entropy": 0.5}), "tells only entropy, loss: give its health()"),
        (Telling({"episode_return": 1.0}), "tells only episode_return"),
    ],
)
def test_without_a_return_it_says_what_is_there_and_what_to_give(workload: Any, told: str) -> None:
    with pytest.raises(WorkloadInputError) as error:
        require_return(workload)
    assert told in str(error.value)
