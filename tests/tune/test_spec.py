"""A spec is refused where it makes no search."""

import inspect
import math

import pytest

from cluster.errors import UserError
from tune.jax_phase12 import JaxSpec, task_of
from tune.preflight import device
from tune.pytorch_phase3 import Phase3Spec
from tune.pytorch_phase3 import task_of as phase3_task_of
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.spec import SearchSpec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_runs": 0}, "--max-runs must be at least 1, got 0"),
        ({"patience": 0}, "--patience must be at least 1"),
        ({"final_rounds": 0}, "--final-rounds must be at least 1"),
        ({"soak_updates": -1}, "--soak-updates must be at least 0"),
        ({"thread_cap": 0}, "--thread-cap must be at least 1"),
        ({"min_gain": 1.5}, "--min-gain is a share"),
        ({"trial_timeout": "never"}, "--trial-timeout is a time"),
        ({"learn_time": "5m"}, "--learn-time is for --objective learning"),
        ({"space": ("env.CUDA_VISIBLE_DEVICES=0,1",)}, "--space cannot vary CUDA_VISIBLE_DEVICES"),
        ({"learn_seeds": 2}, "--learn-seeds is for --objective learning"),
        ({"train_time": "10h"}, "--train-time is for --objective learning"),
        ({"target_return": 4.0}, "--target-return is for --objective learning"),
        *(
            ({"objective": Objective.LEARNING, "target_return": number}, "--target-return is a")
            for number in (math.nan, math.inf)
        ),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"seed": 2**63}, "--seed must be at most 9223372036854775807, got 9223372036854775808"),
        ({"objective": Objective.LEARNING, "learn_seeds": 0}, "--learn-seeds must be at least 1"),
        ({"objective": Objective.LEARNING, "learn_time": "soon"}, "--learn-time is a time"),
        ({"objective": Objective.LEARNING, "train_time": "soon"}, "--train-time is a time"),
        ({"check": True, "address": "auto"}, "--check tries the training on this machine"),
    ],
)
def test_a_spec_that_makes_no_search_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        JaxSpec(**options)  # type: ignore[arg-type]


def test_the_defaults_make_a_search() -> None:
    spec = JaxSpec()
    assert (spec.phase, spec.objective, spec.max_time_s) == (1, Objective.THROUGHPUT, None)
    assert spec.trial_timeout_s == 600
    assert spec.learning is None


def test_the_options_of_learning_make_a_plan() -> None:
    spec = JaxSpec(
        objective=Objective.LEARNING,
        target_return=450.0,
        learn_time="5m",
        learn_seeds=4,
        train_time="2h",
    )
    assert spec.learning == LearningPlan(
        num_seeds=4, training_s=300.0, target=450.0, planned_s=7200.0
    )


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        (JaxSpec(), {"training_seed": 2, "held_out": 0.2}),  # the synthetic market stays
        (Phase3Spec(llm="none"), {"training_seed": 2}),
        (JaxSpec(workload="tests/support/fake_workloads.py:invalid"), {"seed": 2}),
    ],
)
def test_a_training_has_a_seed_of_its_own(
    spec: JaxSpec | Phase3Spec, more: dict[str, object]
) -> None:
    task = phase3_task_of(spec) if isinstance(spec, Phase3Spec) else task_of(spec)
    assert task.training_options(2) == task.options | more
    assert not task.options.keys() & more.keys() - {"seed"}


@pytest.mark.parametrize(
    ("objective", "says"),
    [(Objective.LEARNING, "The synthetic market is noise"), (Objective.THROUGHPUT, None)],
)
def test_who_would_learn_of_noise_is_told(objective: Objective, says: str | None) -> None:
    notes = task_of(JaxSpec(objective=objective)).notes
    assert len(notes) == (says is not None)
    assert all(note.startswith(says or "") for note in notes)


def test_the_help_says_what_the_memory_budget_is_without_a_value() -> None:
    source = " ".join(inspect.getsource(SearchSpec).split())
    of_gpu = device.pool_bytes(1000, {}) / 1000
    assert f"Default: {100 * of_gpu:.0f} % of the GPU's free memory; on a CPU" in source
    assert f"on a CPU {100 * device.SHARED_SHARE:.0f} % of free RAM" in source
