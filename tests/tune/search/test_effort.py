"""An effort: one word for five numbers."""

import dataclasses
import itertools

import pytest
import tyro

from tune.command.__main__ import CommandSpec
from tune.jax_phase12 import JaxSpec
from tune.pytorch_phase3 import Phase3Spec
from tune.search.effort import Effort, EffortPlan
from tune.spec import SearchSpec

SPECS = (JaxSpec, Phase3Spec, CommandSpec)


@pytest.mark.parametrize("spec", SPECS)
def test_more_effort_is_no_less_of_anything(spec: type[SearchSpec]) -> None:
    plans = [dataclasses.astuple(spec(effort=effort).effort_plan) for effort in Effort]
    for less, more in itertools.pairwise(plans):
        assert all(a <= b for a, b in zip(less, more, strict=True))
        assert less != more
    assert all(number >= 1 for number in plans[0])
    assert all(spec(effort=effort).effort_plan.final_rounds >= 2 for effort in Effort)


def test_what_is_given_beside_an_effort_counts() -> None:
    spec = JaxSpec(effort=Effort.QUICK, patience=7, soak_updates=0)
    assert spec.effort_plan == EffortPlan(
        max_runs=12, patience=7, finalists=2, final_rounds=2, soak_updates=0
    )


@pytest.mark.parametrize("spec", SPECS)
def test_the_help_names_the_numbers_of_every_effort(
    spec: type[SearchSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(spec, args=["--help"])
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    plans = [dataclasses.asdict(spec(effort=effort).effort_plan) for effort in Effort]
    for name in plans[0]:
        numbers = ", ".join(str(plan[name]) for plan in plans)
        assert f"({numbers}" in told, name
