"""The GPU's figures of a trial, from samples that a fake NVML gives."""

import dataclasses

import pytest

from cluster.node.hardware import GpuUsage
from trainables.gpu_monitor import GpuMonitor


def usage(utilization: float | None, temperature: float | None, power: float | None) -> GpuUsage:
    return GpuUsage(
        memory_free_bytes=2**30,
        utilization_percent=utilization,
        temperature_c=temperature,
        power_w=power,
    )


BUSY, IDLE = usage(90.0, 70.0, 300.0), usage(0.0, 30.0, 20.0)
NOTHING = {
    "gpu_utilization": None,
    "gpu_temperature_c": None,
    "gpu_power_w": None,
    "gpu_held_back": {},
}


def test_utilisation_and_power_are_means_and_temperature_is_the_highest() -> None:
    samples = iter([{0: usage(80.0, 60.0, 200.0)}, {0: usage(100.0, 58.0, None)}])
    monitor = GpuMonitor("cuda", {}, lambda: next(samples))
    monitor.look()
    monitor.look()
    assert monitor.figures() == {
        "gpu_utilization": 90.0,
        "gpu_temperature_c": 60.0,
        "gpu_power_w": 200.0,
        "gpu_held_back": {},
    }


@pytest.mark.parametrize(
    ("visible", "gpus", "found"),
    [
        ({}, {0: BUSY}, BUSY),
        ({"CUDA_VISIBLE_DEVICES": "3"}, {0: BUSY}, BUSY),  # a container shows its GPU alone
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, {0: IDLE, 1: BUSY}, BUSY),
        ({}, {0: BUSY, 1: IDLE}, BUSY),
        ({"CUDA_VISIBLE_DEVICES": "GPU-5f2b"}, {0: IDLE, 1: BUSY}, None),
        ({"CUDA_VISIBLE_DEVICES": "7"}, {0: IDLE, 1: BUSY}, None),
        ({}, None, None),
    ],
)
def test_the_samples_are_of_our_gpu_or_there_are_none(
    visible: dict[str, str], gpus: dict[int, GpuUsage] | None, found: GpuUsage | None
) -> None:
    monitor = GpuMonitor("cuda", visible, lambda: gpus)
    monitor.look()
    assert monitor.figures()["gpu_power_w"] == (found.power_w if found else None)


def test_nothing_is_asked_when_the_trial_runs_on_the_cpu() -> None:
    monitor = GpuMonitor("cpu", {}, lambda: pytest.fail("asked"))
    monitor.look()
    assert monitor.figures() == NOTHING


def test_limits_that_lower_the_clocks_are_shares_of_the_samples() -> None:
    held = dataclasses.replace(BUSY, held_back_by=("power", "temperature"))
    samples = iter([{0: BUSY}, {0: held}, {0: dataclasses.replace(BUSY, held_back_by=("power",))}])
    monitor = GpuMonitor("cuda", {}, lambda: next(samples))
    for _ in range(3):
        monitor.look()
    shares = monitor.figures()["gpu_held_back"]
    assert shares == {"power": pytest.approx(2 / 3), "temperature": pytest.approx(1 / 3)}
