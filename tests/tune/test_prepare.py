"""The baseline is something real: the person's, the task's default, or of the space."""

import contextlib

import pytest

import factories
import machines
from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node.thread_env import Framework
from search_spaces.jax_phase12 import PHASE12_BASELINE
from search_spaces.space import SearchSpace
from tune import prepare
from tune.prepare import baseline_of

PPO = ("num_envs=64:1024", "num_steps=32:128", "batch_size=1024:8192", "num_epochs=4")


@pytest.mark.parametrize(
    ("space", "default", "given", "config", "called"),
    [
        (PPO, PHASE12_BASELINE, {}, PHASE12_BASELINE, "the framework default"),
        (
            PPO,
            PHASE12_BASELINE,
            {"num_envs": 2048, "batch_size": 4096},
            {"num_envs": 2048, "num_steps": 128, "batch_size": 4096, "num_epochs": 4},
            "your baseline",
        ),
        (
            ("num_envs=8,12,24", "num_steps=16"),
            PHASE12_BASELINE,
            {},
            {"num_envs": 24, "num_steps": 16},
            "the nearest to the framework default",
        ),
        (
            ("num_envs=4,8", "num_steps=100", "batch_size=64,100"),
            {},
            {},
            {"num_envs": 4, "num_steps": 100, "batch_size": 100},
            "the smallest configuration",
        ),
        (
            ("hidden=3,7", "depth=2"),
            {},
            {},
            {"hidden": 3, "depth": 2},
            "the smallest configuration",
        ),
        (("hidden=3,7",), {}, {"hidden": 5}, {"hidden": 5}, "your baseline"),
        (("vec=a,b", "n=0,4"), {}, {"vec": "b"}, {"vec": "b", "n": 0}, "your baseline"),
        (("v=1,x", "n=4,2"), {}, {"v": 1}, {"v": "1", "n": 2}, "your baseline"),
        (("lr=1e-3,1e-4",), {}, {}, {"lr": 1e-4}, "the smallest configuration"),
    ],
)
def test_baseline_is_given_or_of_the_space(
    space: tuple[str, ...],
    default: dict[str, int],
    given: dict[str, int],
    config: dict[str, int],
    called: str,
) -> None:
    axes = SearchSpace(axes=()).override(space)
    assert baseline_of(axes, default, given) == (config, called)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden": 3}, "--baseline names .'hidden'.; the axes are"),
        ({"num_envs": 64, "num_steps": 33, "batch_size": 1024}, "batch_size 1024 does not divide"),
    ],
)
def test_a_baseline_that_cannot_be_is_a_mistake(given: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        baseline_of(SearchSpace(axes=()).override(PPO), PHASE12_BASELINE, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vec": "c"}, "--baseline vec=c is none of the axis' words, a, b: add it to --space"),
        ({"n": "many"}, "--baseline n must be a number, got 'many'"),
        ({"n": 3}, "the baseline cannot run: it breaks n % 2 == 0"),
    ],
)
def test_a_baseline_of_words_is_of_the_space(given: dict[str, object], message: str) -> None:
    space = SearchSpace(axes=()).override(("vec=a,b", "n=2,4"), ("n % 2 == 0",))
    with pytest.raises(UserError, match=message):
        baseline_of(space, {}, given)


def test_an_axis_of_flags_that_jaxlib_would_die_of_is_refused() -> None:
    space = SearchSpace(axes=()).override(
        ["env.XLA_FLAGS=|--xla_no_such_flag=1 --xla_cpu_enable_fast_math=false"]
    )
    with pytest.raises(UserError, match=r"jaxlib does not know --xla_no_such_flag; leave it out"):
        prepare._require_known_flags(space, factories.task())
    prepare._require_known_flags(space, factories.task(framework="any"))
    known = SearchSpace(axes=()).override(["env.XLA_FLAGS=|--xla_cpu_enable_fast_math=false"])
    prepare._require_known_flags(known, factories.task())


@pytest.mark.parametrize(
    ("task", "gpus", "flags", "refused"),
    [
        ("jax", 4, "", None),
        ("jax", 2, "", "num_devices 4: this machine has 2 GPUs for trials: take none above"),
        (
            "jax",
            0,
            "",
            r"the CPU is one device\. .* XLA_FLAGS=--xla_force_host_platform_device_count=4",
        ),
        ("jax", 0, "--xla_force_host_platform_device_count=4", None),
        ("any", 0, "", None),
        ("any", 1, "", "num_devices 4: this machine has 1 GPU for trials"),
    ],
)
def test_more_devices_than_there_are_are_refused(
    monkeypatch: pytest.MonkeyPatch, task: Framework, gpus: int, flags: str, refused: str | None
) -> None:
    monkeypatch.setenv("XLA_FLAGS", flags)
    machine = machines.verdict(machines.cpu_host())
    if gpus:
        cards = {
            "gpus": (machines.GPU,) * gpus,
            "gpu_usage": (machines.IDLE,) * gpus,
            "gpu_names": tuple(map(str, range(gpus))),
            "gpu_cpus": ((),) * gpus,
        }
        machine = machines.verdict(machines.gpu_host(**cards), max_gpus=None)
    space = SearchSpace(axes=()).override(["num_devices=1,2,4"])
    with pytest.raises(UserError, match=refused) if refused else contextlib.nullcontext():
        prepare.require_devices(space, {}, factories.task(framework=task), machine)


def test_a_baseline_on_more_gpus_than_a_host_of_the_class_has_is_refused() -> None:
    hosts = (("1", "10.0.0.1", 1), ("2", "10.0.0.2", 2))
    two = HardwareClass(name="l4", hosts=hosts, uses_gpu=True)
    space, machine = SearchSpace(axes=()).override(["a=1"]), machines.verdict(machines.gpu_host())
    prepare.require_devices(space, {"num_devices": 2}, factories.task(), machine, two)
    with pytest.raises(UserError, match="num_devices 3: a host of this class has 2 GPUs"):
        prepare.require_devices(space, {"num_devices": 3}, factories.task(), machine, two)
