"""Flags and devices that a space asks for, and the machine does not have, are refused at once."""

import contextlib

import pytest

import machines
from cluster.errors import UserError
from cluster.join.hardware_class import ClassHost, HardwareClass
from cluster.node.thread_env import Framework
from search_spaces.space import SearchSpace
from tune.preflight import runtime


def test_an_axis_of_flags_that_jaxlib_would_die_of_is_refused() -> None:
    space = SearchSpace(axes=()).override(
        ["env.XLA_FLAGS=|--xla_no_such_flag=1 --xla_cpu_enable_fast_math=false"]
    )
    with pytest.raises(UserError, match=r"jaxlib does not know --xla_no_such_flag; leave it out"):
        runtime.require_known_flags(space, "jax")
    runtime.require_known_flags(space, "any")
    known = SearchSpace(axes=()).override(["env.XLA_FLAGS=|--xla_cpu_enable_fast_math=false"])
    runtime.require_known_flags(known, "jax")


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
        cards = (machines.visible(str(n)) for n in range(gpus))
        machine = machines.verdict(machines.gpu_host(*cards), max_gpus=None)
    space = SearchSpace(axes=()).override(["num_devices=1,2,4"])
    with pytest.raises(UserError, match=refused) if refused else contextlib.nullcontext():
        runtime.require_devices(space, {}, task, machine)


def test_a_baseline_on_more_gpus_than_a_host_of_the_class_has_is_refused() -> None:
    hosts = (ClassHost("1", "10.0.0.1", 1), ClassHost("2", "10.0.0.2", 2))
    two = HardwareClass(name="l4", hosts=hosts, uses_gpu=True)
    space, machine = SearchSpace(axes=()).override(["a=1"]), machines.verdict(machines.gpu_host())
    runtime.require_devices(space, {"num_devices": 2}, "jax", machine, two)
    with pytest.raises(UserError, match="num_devices 3: a host of this class has 2 GPUs"):
        runtime.require_devices(space, {"num_devices": 3}, "jax", machine, two)
