"""What speed alone does not say is said beside it."""

from typing import Any

import pytest

from factories import BASELINE, candidate, measurement, outcome, result, trial
from tune.run_folder.record import SearchContext
from tune.search.objective import Objective
from tune.search.result import Candidate
from tune.search.trial import Stage, Trial
from tune.summary import doubts


def said_of(
    winner: Candidate, words: str, trials: tuple[Trial, ...] | None = None, **context: Any
) -> list[str]:
    """The doubts about a winner that have these words."""
    fields: dict[str, Any] = {
        "objective": Objective.THROUGHPUT,
        "soak_updates": 200,
        "synthetic_data": False,
        "device_budget_bytes": 10 * 2**30,
        "host_budget_bytes": 13 * 2**30,
        "thread_room": 1_000,
        "cpus": (0, 1),
    }
    of_search = {} if trials is None else {"trials": trials}
    found = doubts.warnings(winner, result(**of_search), SearchContext(**(fields | context)))
    return [doubt for doubt in found if words in doubt]


@pytest.mark.parametrize(
    ("num_envs", "says"),
    [
        (64, None),
        (1024, None),
        (2048, "each update takes 131,072 samples, 4 x the baseline's"),
        (8192, "each update takes 524,288 samples, 16 x the baseline's"),
    ],
)
def test_updates_of_many_more_samples_may_need_more_steps_to_learn(
    num_envs: int, says: str | None
) -> None:
    winner = candidate(config=BASELINE.config | {"num_envs": num_envs, "num_steps": 64})
    found = said_of(winner, "may need more steps to learn")
    assert len(found) == (says is not None)
    assert all(doubt.startswith(f"{says}, so that") for doubt in found)


@pytest.mark.parametrize(
    ("num_envs", "speed", "says"),
    [
        (16, 1000.0, "16 x 128, 16 minibatches may learn about "),
        (16, 20.0, None),  # so slow that its updates are worth nothing more
        (2048, 1000.0, None),
    ],
)
def test_a_finalist_that_may_learn_several_times_sooner_is_named(
    num_envs: int, speed: float, says: str | None
) -> None:
    winner = {"num_envs": 4096, "num_steps": 128, "batch_size": 8192}
    other = {"num_envs": num_envs, "num_steps": 128, "batch_size": 128 if num_envs == 16 else 8192}
    trials = [
        trial(config=config, stage=Stage.FINAL, outcome=outcome(measurement=measurement(
            steps_per_second=rate, low=rate, high=rate
        )))
        for config, rate in ((winner, 1100.0), (other, speed))
    ]  # fmt: skip
    fastest = candidate(config=winner, steps_per_second=1100.0)
    found = said_of(fastest, "--objective learning trains both", trials=tuple(trials))
    named = [doubt for doubt in found if "may learn about" in doubt]
    assert len(named) == (says is not None)
    assert all(doubt.startswith(says or "") for doubt in named)


@pytest.mark.parametrize(
    ("objective", "noise_scale", "gpu_utilization", "is_said"),
    [
        (Objective.BALANCED, None, None, True),
        (Objective.BALANCED, 4096.0, None, False),
        (Objective.BALANCED, None, 80.0, True),
        (Objective.THROUGHPUT, None, None, False),
    ],
)
def test_that_balanced_knows_no_noise_scale_is_said(
    objective: Objective, noise_scale: float | None, gpu_utilization: float | None, is_said: bool
) -> None:
    measured = measurement(gpu_utilization=gpu_utilization)
    winner = candidate(noise_scale=noise_scale, representative=outcome(measurement=measured))
    assert (
        bool(said_of(winner, "gradient noise scale is not known", objective=objective)) == is_said
    )
