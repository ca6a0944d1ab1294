"""What fits, told before the first trial, and what the search makes of it."""

import io
import json
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from cluster.node import thread_env
from places import SUPPORT
from search_spaces.config import config_key
from search_spaces.space import Axis, SearchSpace
from simulated_search import BUDGET, SPACE, drive, make, need_bytes
from trainables.measurement import Compiled
from tune.memory import capacity, look_ahead
from tune.memory.compiler import Compiler, CompilingError
from tune.screen.screen import Screen

TOP = ("num_envs=256,4096", "num_steps=128", "batch_size=8192,16384")


def need_of(config: dict[str, int]) -> int:
    """Bytes by the minibatch's size, which its number may tell."""
    samples = config["num_envs"] * config["num_steps"]
    size = config.get("batch_size") or samples // config["num_minibatches"]
    return need_bytes(config | {"batch_size": size})


class FakeCompiler(Compiler):
    """Knows the bytes of `test_search`'s surface; each program takes `seconds` of its clock."""

    def __init__(self, *, seconds: float = 2.0, dies: bool = False, tells: bool = True) -> None:
        for name, value in {"seconds": seconds, "dies": dies, "tells": tells, "asked": []}.items():
            object.__setattr__(self, name, value)

    def compile(
        self, configs: Sequence[dict[str, int]], *, patience_s: float | None = None
    ) -> Generator[Compiled, None, None]:
        if self.dies:  # type: ignore[attr-defined]
            raise CompilingError("the trial was ended by SIGABRT.")
        for config in configs:
            if patience_s is not None and self.clock() >= patience_s:
                raise CompilingError("it did not finish in time.")
            self.asked.append(config)  # type: ignore[attr-defined]
            need = need_of(config) if self.tells else None  # type: ignore[attr-defined]
            yield Compiled(config=config, device_bytes=need, compile_s=1.0)

    def clock(self) -> float:
        return self.seconds * len(self.asked)  # type: ignore[attr-defined, no-any-return]


def look(
    compiler: FakeCompiler, budget: int = BUDGET, space: SearchSpace = SPACE, **options: float
) -> tuple[look_ahead.Foresight, int]:
    found = look_ahead.look_ahead(
        compiler,
        space,
        budget,
        on_gpu=False,
        max_time_s=options.get("max_time_s"),
        clock=compiler.clock,
    )
    return found, len(compiler.asked)  # type: ignore[attr-defined]


def test_where_memory_is_plenty_one_program_says_so() -> None:
    found, asked = look(FakeCompiler(), 10**10)
    assert asked == 1
    assert found.wall_s == 2.0
    assert found.text == (
        "Memory: everything fits, 116 configurations of up to 4096 envs: the largest, "
        "4096 x 128 / 16384, needs 360 MiB of 9.31 GiB."
    )


def test_the_largest_has_the_fewest_minibatches() -> None:
    """The compiler needs 5.5 GB for one minibatch of the largest, and 0.8 for 32."""
    space = SearchSpace(axes=()).override(
        ["num_envs=256:4096", "num_steps=128", "num_minibatches=1,4,32"]
    )
    compiler = FakeCompiler()
    found, _ = look(compiler, 2**33, space)
    largest = {"num_envs": 4096, "num_steps": 128, "num_minibatches": 1}
    assert compiler.asked == [largest]  # type: ignore[attr-defined]
    assert "the largest, num_envs=4096 num_steps=128 num_minibatches=1, needs" in found.text
    found, _ = look(FakeCompiler(), 2**32, space)
    assert found.capacity is not None
    assert not found.capacity.everything_fits
    assert all(
        (entry.fit is capacity.Fit.FITS) == (need_of(entry.config) <= 2**32)
        for entry in found.capacity.entries
        if entry.fit is not capacity.Fit.CLOSE
    )


def test_a_program_says_nothing_of_one_with_another_flag() -> None:
    """Recomputing takes less memory: the largest number is not the largest program."""
    space = SPACE.override([*TOP, "remat=0,1"])
    found = look_ahead.look_ahead(FakeCompiler(), space, 10**10, on_gpu=True, max_time_s=None)
    assert found.capacity is not None
    fitting = [e.config["remat"] for e in found.capacity.entries if e.fit is capacity.Fit.FITS]
    assert fitting == [1] * (len(found.capacity.entries) // 2)
    assert "remat=1 needs 360 MiB" in found.text
    assert "what else fits is learned from the trials." in found.text


def test_where_the_budget_binds_the_largest_num_envs_is_predicted_from_the_corners() -> None:
    found, asked = look(FakeCompiler())
    assert asked == 7
    assert found.capacity is not None
    most = found.capacity.num_envs_that_fit(always=True)
    assert most == 1024
    assert all(need_bytes(c) <= BUDGET for c in SPACE.configurations() if c["num_envs"] <= most)
    assert f"fit in 256 MiB: up to {most} envs always" in found.text
    assert "; compiled 7 programs to tell." in found.text


@pytest.mark.parametrize(("max_time_s", "at_most"), [(60.0, 3), (1000.0, 7)])
def test_a_search_in_a_hurry_does_not_wait_for_all_corners(max_time_s: float, at_most: int) -> None:
    found, asked = look(FakeCompiler(seconds=2.5), max_time_s=max_time_s)
    assert asked == at_most
    assert found.wall_s <= 0.1 * max_time_s + 2.5
    assert found.text


@pytest.mark.parametrize(
    ("compiler", "text"),
    [
        (FakeCompiler(dies=True), "not known before the first trial. the trial was ended by SIG"),
        (FakeCompiler(tells=False), ""),
    ],
)
def test_what_cannot_be_told_is_not(compiler: FakeCompiler, text: str) -> None:
    found, asked = look(compiler)
    assert (found.compiled, found.capacity, asked <= 1) == ({}, None, True)
    assert text in found.text
    assert bool(text) == bool(found.text)


def test_a_space_of_other_axes_is_left_to_the_trials() -> None:
    space = SearchSpace(axes=(Axis(name="vectorized_envs", values=(8, 16)),))
    assert look(FakeCompiler(), space=space) == (look_ahead.NO_FORESIGHT, 0)


def test_what_was_compiled_ahead_keeps_what_does_not_fit_from_running(tmp_path: Path) -> None:
    found, _ = look(FakeCompiler())
    search = make(
        tmp_path, compiled=found.compiled, space=SPACE.override(("num_envs=256,4096",)), max_runs=80
    )
    ran = drive(search)
    assert max(need_bytes(t.config) for t in ran) < 1.05 * BUDGET  # within the model's error
    excluded = [trial.config for trial in search.trials if not trial.was_run]
    assert excluded
    assert min(map(need_bytes, excluded)) > BUDGET


def test_a_configuration_that_was_compiled_itself_is_judged_by_its_own_bytes(
    tmp_path: Path,
) -> None:
    """One program teaches no model, but of itself it says everything."""
    top = {"num_envs": 4096, "num_steps": 128, "batch_size": 16384}
    search = make(tmp_path, compiled={config_key(top): need_bytes(top)}, space=SPACE.override(TOP))
    ran = drive(search)
    assert top not in [trial.config for trial in ran]
    [excluded] = [trial for trial in search.trials if trial.config == top]
    assert excluded.outcome is not None
    assert (
        "compiled ahead, needs 0.35 GiB of the budget's 0.25 GiB; not run."
        in excluded.outcome.message
    )


def test_the_compiler_has_one_device_and_is_not_asked_of_more() -> None:
    compiler = FakeCompiler()
    space = SPACE.override(["num_devices=2,4"])
    found = look_ahead.look_ahead(compiler, space, BUDGET, on_gpu=True, max_time_s=None)
    assert found == look_ahead.NO_FORESIGHT
    assert compiler.asked == []  # type: ignore[attr-defined]


def test_on_a_gpu_the_largest_alone_is_compiled_and_trials_tell_the_rest() -> None:
    compiler = FakeCompiler()
    found = look_ahead.look_ahead(compiler, SPACE, BUDGET, on_gpu=True, max_time_s=None)
    largest = {"num_envs": 4096, "num_steps": 128, "batch_size": 16384}
    assert compiler.asked == [largest]  # type: ignore[attr-defined]
    assert found.compiled == {config_key(largest): need_bytes(largest)}
    assert found.text == (
        "Memory: 4096 x 128 / 16384 needs 360 MiB of 256 MiB; what else fits is learned from the "
        "trials."
    )


def test_the_screen_says_it_and_machines_read_it() -> None:
    found, _ = look(FakeCompiler())
    stdout = io.StringIO()
    Screen(stdout=stdout).memory(found)
    assert stdout.getvalue() == f"{found.text}\n"
    stdout = io.StringIO()
    Screen(as_json=True, stdout=stdout).memory(found)
    event = json.loads(stdout.getvalue())
    assert (event["event"], event["programs_compiled"]) == ("memory", 7)
    assert (event["everything_fits"], event["budget_bytes"]) == (False, BUDGET)


def test_a_compiler_that_is_too_slow_is_told_by_the_time_it_was_given(tmp_path: Path) -> None:
    def compiler(build_s: float) -> Compiler:
        return Compiler(
            workload="surface_workload:factory",
            options={"build_s": build_s},
            caps=thread_env.build(1, "cpu", sorted(os.sched_getaffinity(0)), {}),
            environment=os.environ | {"PYTHONPATH": str(SUPPORT)},
            log=tmp_path / "log",
            timeout_s=60.0,
        )

    config = {"num_envs": 64, "num_steps": 32, "batch_size": 512}
    with pytest.raises(CompilingError, match="Compiling was given 1 s, and takes longer here"):
        list(compiler(30.0).compile([config], patience_s=1.0))
    assert [program.device_bytes for program in compiler(0.0).compile([config])] == [13_072_000]
