"""The README's worked example: a gymnax environment as a workload of one's own."""

import pytest

from places import TESTS
from trainables import workload as protocol


def test_the_example_trains_through_the_protocol():
    factory = protocol.load_factory("tests.gymnax_cartpole:factory")
    workload = factory({"num_envs": 64, "num_steps": 200}, {})
    assert isinstance(workload, protocol.Workload)
    assert isinstance(workload, protocol.Compiles)
    assert workload.env_steps_per_update == 64 * 200
    program = workload.compile()
    assert program.device_bytes is not None
    assert program.device_bytes > 0
    assert program.flops_per_update == pytest.approx(2 * 4 * 64 * 200, rel=0.02)
    assert isinstance(workload, protocol.ReportsHealth)
    workload.run(1)
    before = workload.health()["mean_return"]
    workload.run(24)
    assert workload.health()["mean_return"] > 190 > before


def test_the_example_is_short():
    path = TESTS / "gymnax_cartpole.py"
    assert len(path.read_text().splitlines()) <= 30
