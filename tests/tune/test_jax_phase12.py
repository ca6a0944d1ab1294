"""python -m tune.jax_phase12: what it makes of its options, before any trial."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from exports import EXPORTS
from tune import prepare
from tune.jax_phase12 import JaxSpec, task_of


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_workload_is_judged_by_its_own_framework(framework: str) -> None:
    spec = JaxSpec(workload="fake_workloads:Sleeper", framework=framework)  # type: ignore[arg-type]
    task = task_of(spec)
    assert (task.workload, task.framework) == ("fake_workloads:Sleeper", framework)
    assert prepare.preflight_request(spec, task, {}).framework == framework


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JaxSpec(framework="torch"), "--framework is for --workload; Phase 1 and 2 are JAX"),
        (JaxSpec(option=("a=1",)), "--option is for --workload"),
        (JaxSpec(space=("lr=1e-4,3e-4",)), "--space lr: Phases 1 and 2 have no such axis"),
        (JaxSpec(symbol="A"), "--symbol is about a file of bars; give it by --data"),
        (JaxSpec(timezone="UTC"), "--timezone is about a file of bars"),
        (
            JaxSpec(workload="fake_workloads:Sleeper", timezone="UTC"),
            "--timezone is for Phase 1 and 2; give your workload --option timezone=VALUE",
        ),
        (
            JaxSpec(workload="fake_workloads:Sleeper", phase=2),
            "--phase is for Phase 1 and 2, and --workload is neither; leave it out",
        ),
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


def test_a_file_s_name_becomes_one_that_profiles_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my ppo(2).py").write_text("def make(config, options): ...")
    monkeypatch.chdir(tmp_path)
    task = task_of(JaxSpec(workload="my ppo(2).py:make"))
    assert task.mode == task.name == "my-ppo-2-make"


def test_a_task_says_what_was_read_and_how_it_was_asked_to() -> None:
    data = EXPORTS / "session_naive_ny_rth_1m.parquet"
    task = task_of(JaxSpec(data=data))
    assert task.options == {"data": str(data), "seed": 0}  # as before there were more
    assert task.notes[0].startswith("Read session_naive_ny_rth_1m.parquet: 3120 bars of 1 min, ")
    assert "say --timezone America/New_York" in task.notes[1]
    task = task_of(JaxSpec(data=data, timezone="America/New_York"))
    assert task.options["timezone"] == "America/New_York"
    assert task.data["episodes"] == "episodes within regular hours (09:30-16:00 New York)"
    assert len(task.notes) == 1
    assert task_of(JaxSpec()).notes == ()
