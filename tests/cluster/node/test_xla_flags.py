"""Flags of XLA, told by the jaxlib that is installed."""

import pytest

from cluster.node import xla_flags


def test_a_known_flag_is_told_from_a_retired_one() -> None:
    pytest.importorskip("jaxlib")
    flags = "--xla_cpu_multi_thread_eigen=false --xla_gpu_graph_level=0 --xla_no_such_flag"
    assert xla_flags.unknown_xla_flags(flags) == ["xla_gpu_graph_level", "xla_no_such_flag"]


def test_flags_in_a_file_are_not_judged() -> None:
    assert xla_flags.unknown_xla_flags("/tmp/--xla_no_such_flag") == []
