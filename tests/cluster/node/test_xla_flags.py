"""Flags of XLA, told by the jaxlib that is installed."""

import pytest

from cluster.node import xla_flags


def test_a_known_flag_is_told_from_a_retired_one() -> None:
    pytest.importorskip("jaxlib")
    flags = "--xla_cpu_multi_thread_eigen=false --xla_gpu_graph_level=0 --xla_no_such_flag"
    assert xla_flags.unknown_xla_flags(flags) == ["xla_gpu_graph_level", "xla_no_such_flag"]


@pytest.mark.parametrize(
    ("flags", "number"),
    [
        ("", 1),
        ("--xla_cpu_multi_thread_eigen=false", 1),
        ("--xla_force_host_platform_device_count=4 --x=1", 4),
        ("--xla_force_host_platform_device_count=4 --xla_force_host_platform_device_count=2", 2),
    ],
)
def test_simulated_devices_are_counted(flags: str, number: int) -> None:
    assert xla_flags.num_simulated_devices(flags) == number


def test_flags_in_a_file_are_not_judged() -> None:
    assert xla_flags.unknown_xla_flags("/tmp/--xla_no_such_flag") == []
