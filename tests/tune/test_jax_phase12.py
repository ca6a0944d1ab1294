"""python -m tune.jax_phase12: what it makes of its options, before any trial."""

import pytest

from cluster.errors import UserError
from tune import prepare
from tune.jax_phase12 import JaxSpec, task_of


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_workload_is_judged_by_its_own_framework(framework: str) -> None:
    spec = JaxSpec(workload="fake_workloads:Sleeper", framework=framework)  # type: ignore[arg-type]
    task = task_of(spec)
    assert (task.workload, task.framework) == ("fake_workloads:Sleeper", framework)
    assert prepare.preflight_request(spec, task).framework == framework


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JaxSpec(framework="torch"), "--framework is for --workload; Phase 1 and 2 are JAX"),
        (JaxSpec(option=("a=1",)), "--option is for --workload"),
        (JaxSpec(workload="fake_workloads"), "workload must read package.module:factory"),
        (JaxSpec(workload="no_such_module:make"), "no module no_such_module; run from its folder"),
        (JaxSpec(workload="fake_workloads:Sleper"), "has no function Sleper; "),
    ],
)
def test_options_that_contradict_each_other_are_a_mistake(spec: JaxSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_of(spec)


def test_a_workload_is_named_by_module_and_function_and_gets_the_seed() -> None:
    task = task_of(JaxSpec(workload="fake_workloads:Sleeper", seed=4, option=("n=3", "s=x")))
    assert (task.name, task.mode) == ("fake-workloads-Sleeper", "fake_workloads-Sleeper")
    assert task.options == {"seed": 4, "n": 3, "s": "x"}
    assert task.framework == "jax"
    assert task_of(JaxSpec(workload="fake_workloads:Sleeper")).options == {}
