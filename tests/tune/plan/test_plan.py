"""A plan for a GPU that is not here: what it says fits, fits."""

import pytest

from cluster.errors import UserError
from fake_compiler import CONFIGS, QUIET, FakeCompiler, need
from search_spaces.config import config_key
from tune.memory.capacity import Fit
from tune.memory.compiler import Compiler
from tune.plan import gpus, plan
from tune.plan import view as plan_view

GPU = gpus.find("RTX 4090")


GIB = 2**30


@pytest.mark.parametrize("budget", [GIB // 4, GIB, 2 * GIB])
def test_what_a_plan_calls_fitting_fits(budget: int) -> None:
    compiler = FakeCompiler()
    found = plan.explore(compiler, CONFIGS, budget, lambda _: None)
    asked = compiler.asked  # type: ignore[attr-defined]
    assert len(asked) == len({config_key(config) for config in asked}) <= 24
    for entry in found.entries:
        if entry.compiled:
            assert entry.device_bytes == need(entry.config)
        if entry.fit is not Fit.CLOSE:
            assert (entry.fit is Fit.FITS) == (need(entry.config) <= budget)
    always = found.num_envs_that_fit(always=True)
    some = found.num_envs_that_fit(always=False)
    assert some == max(c["num_envs"] for c in CONFIGS if need(c) <= budget)
    assert always is None or all(need(c) <= budget for c in CONFIGS if c["num_envs"] <= always)


def test_a_plan_is_of_the_gpus_own_programs() -> None:
    cpu = FakeCompiler(target=None)
    made = plan.make(GPU, CONFIGS, 20 * GIB, (FakeCompiler(), cpu), **QUIET)
    assert (made.ahead, made.note) == (True, "")
    assert not cpu.asked  # type: ignore[attr-defined]
    assert f"On RTX 4090 everything fits, {len(CONFIGS)} configurations: " in plan_view.render(made)


@pytest.mark.parametrize(
    ("ahead", "reason"),
    [
        (FakeCompiler(lives=2), "Compiling for RTX 4090 failed: the child was ended by SIGABRT"),
        ("JAX's CUDA plugin is not installed here.", "JAX's CUDA plugin is not installed here."),
    ],
)
def test_without_the_gpus_compiler_it_says_so_and_takes_the_cpus(
    ahead: Compiler | str, reason: str
) -> None:
    said: list[str] = []
    heard = QUIET | {"say": said.append}
    made = plan.make(GPU, CONFIGS, GIB, (ahead, FakeCompiler(target=None)), **heard)
    assert not made.ahead
    assert any(reason in line for line in said)
    text = plan_view.render(made)
    assert "bytes of programs compiled for the CPU, not for RTX 4090" in text
    assert reason in text
    with pytest.raises(UserError, match="--plan cannot compile: the child was ended"):
        plan.make(GPU, CONFIGS, GIB, ("no plugin", FakeCompiler(lives=0)), **heard)
