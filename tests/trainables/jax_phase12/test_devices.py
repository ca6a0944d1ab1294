"""Training on several devices: the same mathematics, shared out. The devices are simulated."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from places import PYTHONPATH, SUPPORT
from trainables.jax_phase12.devices import of_devices, taken

SIZES = {"num_envs": 64, "num_steps": 16}
WHOLE = {**SIZES, "batch_size": 1024, "num_epochs": 1}
MINIBATCHES = {**SIZES, "batch_size": 256}


@pytest.fixture(scope="module")
def trained() -> list[dict[str, Any]]:
    """Trainings in one process with four devices: whole batches on four and on one, then shuffled
    minibatches of four parts on four and on one."""
    four = {"num_devices": 4}
    asked = [(4, WHOLE | four), (1, WHOLE), (4, MINIBATCHES | four), (1, MINIBATCHES | four)]
    environ = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": PYTHONPATH,
    }
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "devices_training.py"), *map(json.dumps, asked)],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["health"] == pytest.approx(other["health"], rel=1e-3, abs=1e-5)
    for mine, its in zip(one["network"], other["network"], strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-3, atol=1e-5)


def test_four_devices_train_as_one_does(trained: list[dict[str, Any]]) -> None:
    """Without minibatches there is nothing to shuffle: only the order of sums is another."""
    assert_same(trained[0], trained[1])
    assert "gradient_noise_scale" not in trained[0]["health"], "one batch tells of no noise"


def test_shuffled_parts_of_minibatches_are_the_same_wherever_they_lie(
    trained: list[dict[str, Any]],
) -> None:
    """test_ppo.py shows that such minibatches learn."""
    assert_same(trained[2], trained[3])
    assert "gradient_noise_scale" in trained[2]["health"]


def test_a_device_has_its_part_of_the_rollout(trained: list[dict[str, Any]]) -> None:
    one, its = trained[3]["device_bytes"], trained[2]["device_bytes"]
    assert its < one


def test_devices_wait_for_each_other_only_after_the_rollout(
    trained: list[dict[str, Any]],
) -> None:
    """A minibatch's gradient is averaged, and the statistics once: no samples move."""
    per_computation = trained[2]["collectives"]
    assert {what for all_of in per_computation.values() for what in all_of} == {"all-reduce"}
    (entry,) = (len(found) for name, found in per_computation.items() if "ENTRY" in name)
    (minibatch,) = (len(found) for name, found in per_computation.items() if "ENTRY" not in name)
    assert (entry, minibatch) == (2, 3)
    assert trained[3]["collectives"] == {}


def test_each_device_has_its_own_environments() -> None:
    rollout = np.arange(3 * 4).reshape(3, 4)  # [num_steps, num_envs]
    samples = of_devices(rollout, 2)
    assert samples.tolist() == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]
    assert taken(samples, np.array([[5, 0], [1, 1]])).tolist() == [9, 0, 3, 3]
