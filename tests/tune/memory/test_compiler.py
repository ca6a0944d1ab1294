"""The environment of a child that compiles and runs nothing."""

import os
from pathlib import Path

import pytest

import factories
from cluster.node import thread_env
from places import PYTHONPATH
from trainables.measurement import CompileRequest
from trainables.process import run_child
from tune.memory.compiler import Compiler, CompilingError, unoptimised

LEVEL = "--xla_backend_optimization_level=0"


@pytest.mark.parametrize(
    ("platform", "flags", "wanted"),
    [
        ("cpu", None, LEVEL),
        ("cpu", "", LEVEL),
        ("cpu", "--xla_dump_to=/tmp/x", f"--xla_dump_to=/tmp/x {LEVEL}"),
        ("cpu", "--xla_backend_optimization_level=1", "--xla_backend_optimization_level=1"),
        ("cpu", "flags.txt", "flags.txt"),
        ("cuda", None, None),
        (None, None, None),
    ],
)
def test_only_a_cpus_compiler_is_told_not_to_optimise(
    platform: str | None, flags: str | None, wanted: str | None
) -> None:
    given = {"JAX_PLATFORMS": platform, "XLA_FLAGS": flags}
    environment = {name: value for name, value in given.items() if value is not None}
    assert unoptimised(environment).get("XLA_FLAGS") == wanted
    assert environment.get("XLA_FLAGS") == flags


def test_an_unknown_flag_would_end_the_child_so_it_is_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.node.xla_flags.knows_xla_flag", lambda name: False)
    assert unoptimised({"JAX_PLATFORMS": "cpu"})["XLA_FLAGS"] == ""


@pytest.mark.seconds(40)
def test_bytes_are_those_of_the_program_that_trials_run(tmp_path: Path) -> None:
    caps = thread_env.build(2, "cpu", sorted(os.sched_getaffinity(0)), os.environ)
    environment = dict(os.environ) | caps.variables
    assert unoptimised(environment) != environment
    request = CompileRequest(
        workload="trainables.jax_phase12.workload:phase1",
        configs=({"num_envs": 1024, "num_steps": 128, "batch_size": 16384, "num_epochs": 4},),
        options={"data": None, "seed": 0},
        cpus=caps.cpus,
        target=None,
    )

    def device_bytes(env: dict[str, str]) -> list[int | None]:
        messages = run_child(request, environment=env, log_path=tmp_path / "log", thread_cap=2)
        found = [getattr(message, "compiled", None) for message in messages]
        return [program.device_bytes for program in found if program is not None]

    optimised = device_bytes(environment)
    assert len(optimised) == 1
    assert None not in optimised
    assert device_bytes(dict(unoptimised(environment))) == optimised


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
