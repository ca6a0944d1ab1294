"""What would fit on a GPU that is not here: the table, the planning, and the compiler itself."""

import importlib.util
import json
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

import factories
from cluster.errors import UserError
from places import PYTHONPATH
from search_spaces.config import config_key
from search_spaces.space import Axis, SearchSpace, doubling
from trainables.compile_only import compile_all
from trainables.measurement import Compiled, CompileRequest, Message, OutcomeKind, Progress
from tune import jax_phase12
from tune.jax_phase12 import JaxSpec
from tune.memory import capacity
from tune.memory.capacity import Fit
from tune.memory.compiler import Compiler, CompilingError
from tune.plan import command, gpus, plan
from tune.plan import view as plan_view

GPU = gpus.find("RTX 4090")
GIB = 2**30
SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(512, 16384)),
        Axis(name="num_steps", values=(64, 128)),
        Axis(name="batch_size", values=doubling(4096, 65536)),
        Axis(name="num_epochs", values=(2, 4)),
    )
)
CONFIGS = capacity.of_sizes(SPACE)
QUIET: dict[str, Any] = {"say": lambda _: None, "on_program": lambda _: None}


def need(config: dict[str, int]) -> int:
    samples = config["num_envs"] * config["num_steps"]
    return 30_000_000 + 2_000 * samples + 8_000 * config["batch_size"]


class FakeCompiler(Compiler):
    """Knows the bytes without compiling, dies after `lives` programs, remembers what was asked."""

    def __init__(self, *, lives: int = 10**6, target: str | None = "a GPU") -> None:
        object.__setattr__(self, "lives", lives)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "asked", [])

    def compile(
        self, configs: Sequence[dict[str, int]], *, patience_s: float | None = None
    ) -> Generator[Compiled, None, None]:
        for config in configs:
            if len(self.asked) == self.lives:  # type: ignore[attr-defined]
                raise CompilingError("the child was ended by SIGABRT: sm_120 is not supported.")
            self.asked.append(config)  # type: ignore[attr-defined]
            yield Compiled(config=config, device_bytes=need(config), compile_s=2.0)


# The table


@pytest.mark.parametrize("gpu", gpus.known(), ids=lambda gpu: gpu.name)
def test_every_gpu_is_found_by_its_names_and_described_in_full(gpu: gpus.KnownGpu) -> None:
    for text in (gpu.name, gpu.device, gpu.name.lower().replace(" ", ""), f"NVIDIA {gpu.name}"):
        assert gpus.find(text) is gpu
    assert gpu.source
    assert 10 * GIB < gpu.memory_bytes < 200 * GIB
    target = gpu.target()
    assert target.count("{") == target.count("}")
    major, minor = gpu.compute_capability.split(".")
    assert f"cuda_compute_capability {{ major: {major} minor: {minor} }}" in target
    assert f"device_memory_size: {gpu.memory_bytes}\n" in target


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GTX 970", "knows no GPU 'GTX 970'; it knows RTX 3090, RTX 4090, .*, H200"),
        ("", "knows no GPU ''"),
        ("A100", "'A100': write it as A100 40GB or A100 80GB"),
        ("RTX 6000", "write it as RTX 6000 Ada"),
    ],
)
def test_another_gpu_is_refused_with_the_names_that_there_are(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gpus.find(text)


def test_the_command_refuses_before_it_compiles() -> None:
    with pytest.raises(UserError, match="GTX 970"):
        jax_phase12.run(JaxSpec(plan="GTX 970"))
    with pytest.raises(UserError, match="--memory-budget is a size like 8GiB"):
        jax_phase12.run(JaxSpec(plan="L4", memory_budget="much"))
    spec = JaxSpec(plan="L4", workload="fake_workloads:Full", space=("a=1:1024", "b=1:1024"))
    with pytest.raises(UserError, match="at most 24, got 121: narrow --space"):
        jax_phase12.run(spec)


# What is compiled, and what follows from it


def test_other_axes_stand_at_their_largest_value() -> None:
    assert {config["num_epochs"] for config in CONFIGS} == {4}
    assert len(CONFIGS) == sum(config["num_epochs"] == 4 for config in SPACE.configurations())


def test_the_corners_begin_with_the_largest_and_reach_both_ends_of_every_axis() -> None:
    corners = capacity.corners(CONFIGS)
    assert corners[0] == max(CONFIGS, key=need)
    assert len({config_key(config) for config in corners}) == len(corners) == 7
    for name in ("num_envs", "num_steps", "batch_size"):
        values = {config[name] for config in CONFIGS}
        assert {min(values), max(values)} <= {config[name] for config in corners}


def test_one_program_with_room_to_spare_shows_that_all_fit() -> None:
    largest = max(CONFIGS, key=need)
    budget = int(need(largest) * (1 + capacity.MARGIN_ON_CPU)) + 1
    found = capacity.assess(CONFIGS, {config_key(largest): need(largest)}, budget, on_gpu=False)
    assert found.everything_fits
    assert found.num_envs_that_fit(always=True) == 16384
    tight = capacity.assess(CONFIGS, {config_key(largest): need(largest)}, budget - 2, on_gpu=False)
    assert [entry.fit for entry in tight.entries].count(Fit.FITS) == 1  # itself: it was compiled


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


def test_programs_that_the_compiler_shrank_do_not_teach_the_model() -> None:
    """A GPU's compiler brings what is over 80 % of the card below that; smaller ones it leaves."""
    budget = 4 * GIB
    programs = {config_key(c): min(need(c), int(0.8 * budget)) for c in capacity.corners(CONFIGS)}

    def worst_error(*, on_gpu: bool) -> float:
        found = capacity.assess(CONFIGS, programs, budget, on_gpu=on_gpu)
        predicted = [entry for entry in found.entries if not entry.compiled]
        return max(abs((e.device_bytes or 0.0) / need(e.config) - 1.0) for e in predicted)

    assert worst_error(on_gpu=True) < 0.02
    assert worst_error(on_gpu=False) > 0.1


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
    heard: dict[str, Any] = QUIET | {"say": said.append}
    made = plan.make(GPU, CONFIGS, GIB, (ahead, FakeCompiler(target=None)), **heard)
    assert not made.ahead
    assert any(reason in line for line in said)
    text = plan_view.render(made)
    assert "bytes of programs compiled for the CPU, not for RTX 4090" in text
    assert reason in text
    with pytest.raises(UserError, match="--plan cannot compile: the child was ended"):
        plan.make(GPU, CONFIGS, GIB, ("no plugin", FakeCompiler(lives=0)), **heard)


def test_the_table_has_a_cell_for_every_configuration_and_json_has_them_all() -> None:
    made = plan.make(GPU, CONFIGS, GIB, (FakeCompiler(), FakeCompiler()), **QUIET)
    text = plan_view.render(made)
    assert f"of {len(CONFIGS)} configurations fit in 1.00 GiB: up to " in text
    rows = [line for line in text.splitlines() if line[:13].endswith(("x   64", "x  128"))]
    assert len(rows) == 12
    assert sum(row.count("iB") for row in rows) == len(CONFIGS)
    document = json.loads(plan_view.to_json(made))
    assert document["gpu"] == {"name": "RTX 4090", "memory_bytes": GPU.memory_bytes}
    assert document["compiled_for"] == "NVIDIA GeForce RTX 4090"
    assert len(document["configurations"]) == len(CONFIGS)
    assert {entry["fit"] for entry in document["configurations"]} >= {"fits", "too_large"}


# The child that only compiles


def request_for(workload: str, *configs: dict[str, int], target: str | None = None):
    return CompileRequest(
        workload=f"fake_workloads:{workload}", configs=configs, options={}, cpus=(0,), target=target
    )


def test_the_child_compiles_each_configuration_and_says_what_cannot_be() -> None:
    sent: list[Message] = []
    report = compile_all(
        request_for("Full", {"device_bytes": 5}, {"device_bytes": 7}), sent.append, 0.0
    )
    assert report.kind is OutcomeKind.COMPLETED
    programs = [m.compiled for m in sent if isinstance(m, Progress) and m.compiled]
    assert [program.device_bytes for program in programs] == [5, 7]
    sent.clear()
    compile_all(request_for("invalid", {}), sent.append, 0.0)
    program = sent[-1].compiled if isinstance(sent[-1], Progress) else None
    assert program is not None
    assert program.device_bytes is None
    assert program.problem == "batch_size must divide 32 x 128 samples, got 1000."


@pytest.mark.parametrize(
    ("workload", "target", "message"),
    [
        ("Full", "a GPU", "cannot be compiled for a GPU that is not here: it offers no"),
        ("bad_input", None, "bars.csv, row 7"),
    ],
)
def test_a_workload_that_cannot_be_compiled_is_an_error(
    workload: str, target: str | None, message: str
) -> None:
    report = compile_all(request_for(workload, {}, target=target), lambda _: None, 0.0)
    assert report.kind is OutcomeKind.ERROR
    assert message in report.message


def compiler_of(tmp_path: Path, workload: str) -> Compiler:
    return Compiler(
        workload=f"fake_workloads:{workload}",
        options={},
        caps=factories.caps(),
        environment={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH},
        log=tmp_path / "compile.log",
        timeout_s=60.0,
    )


def test_a_living_child_compiles_many_and_is_ended_when_enough_is_known(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path, "Full")
    configs = [{"device_bytes": number} for number in (1, 2, 3)]
    assert [program.device_bytes for program in compiler.compile(configs)] == [1, 2, 3]
    programs = compiler.compile(configs)
    assert next(programs).device_bytes == 1
    programs.close()
    with pytest.raises(CompilingError, match=r"during compile, .*a bug of the workload"):
        list(compiler_of(tmp_path, "broken").compile(configs))


@pytest.mark.slow
@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in command._PLUGINS),
    reason="needs JAX's CUDA plugin: pip install -e '.[cuda13]'",
)
@pytest.mark.parametrize("name", ["RTX 4090", "H100"])
def test_the_real_compiler_accepts_the_description(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ("num_envs=64,128", "num_steps=32", "batch_size=512")
    assert jax_phase12.run(JaxSpec(plan=name, space=space, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compiled_for"] == gpus.find(name).device, document["note"]
    small, large = (entry["device_bytes"] for entry in document["configurations"])
    assert 10**6 < small < large < 10**9
