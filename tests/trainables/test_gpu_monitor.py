"""The GPU's figures of a trial, from samples that a fake NVML gives."""

import dataclasses
import functools
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.node import gpus
from cluster.node.gpus import GpuUsage
from fake_nvml import GIB, card, fake_nvml, uuid_of
from places import ROOT
from trainables import gpu_monitor
from trainables.gpu_monitor import GpuMemory, GpuMonitor, GpuNeighbours


def usage(utilization: float | None, temperature: float | None, power: float | None) -> GpuUsage:
    return GpuUsage(
        memory_free_bytes=2**30,
        utilization_percent=utilization,
        temperature_c=temperature,
        power_w=power,
    )


BUSY = usage(90.0, 70.0, 300.0)
NOTHING = {
    "gpu_utilization": None,
    "gpu_temperature_c": None,
    "gpu_power_w": None,
    "gpu_held_back": {},
}


def test_utilisation_and_power_are_means_and_temperature_is_the_highest() -> None:
    samples = iter([usage(80.0, 60.0, 200.0), usage(100.0, 58.0, None)])
    monitor = GpuMonitor("cuda", lambda: next(samples))
    monitor.look()
    monitor.look()
    assert monitor.figures() == {
        "gpu_utilization": 90.0,
        "gpu_temperature_c": 60.0,
        "gpu_power_w": 200.0,
        "gpu_held_back": {},
    }


def test_a_gpu_that_is_lost_in_mid_run_ends_no_trial() -> None:
    cards = [card(), card()]
    driver = fake_nvml(cards)
    read = functools.partial(gpus.own_gpu_usage, {}, driver=driver)
    monitor, memory = GpuMonitor("cuda", read), GpuMemory("cuda", read=read)
    monitor.look()
    cards[1]["errors"]["handle"] = 15
    monitor.look()
    assert monitor.figures()["gpu_power_w"] == 61.5
    cards[0]["errors"]["handle"] = cards[0]["errors"]["memory"] = 15
    monitor.look()
    memory.look()
    assert monitor.figures()["gpu_power_w"] == 61.5
    assert memory.peak_bytes is None


def test_memory_is_the_fall_of_our_own_gpus_free_memory() -> None:
    cards = [card(), card(free_gib=19)]
    driver = fake_nvml(cards)
    environ = {"CUDA_VISIBLE_DEVICES": uuid_of(1)}
    memory = GpuMemory(
        "cuda",
        by_process=lambda: gpus.gpu_process_bytes(driver=driver),
        read=functools.partial(gpus.own_gpu_usage, environ, driver=driver),
    )
    cards[0]["free_gib"], cards[1]["free_gib"] = 1, 16
    memory.look()
    assert memory.peak_bytes == 3 * GIB


def test_memory_that_another_program_gives_back_hides_ours() -> None:
    cards = [card(free_gib=10)]
    driver = fake_nvml(cards)
    memory = GpuMemory(
        "cuda",
        by_process=lambda: gpus.gpu_process_bytes(driver=driver),
        read=functools.partial(gpus.own_gpu_usage, {}, driver=driver),
    )
    cards[0]["free_gib"] = 12
    memory.look()
    assert memory.peak_bytes is None, "it is not 0"
    cards[0]["free_gib"] = 9
    memory.look()
    assert memory.peak_bytes == 3 * GIB


def test_memory_on_several_gpus_is_that_of_the_fullest() -> None:
    other = 1  # init is none of ours
    held = [{os.getpid(): 3 * GIB, other: 9 * GIB}, {os.getpid(): 4 * GIB}, {}]
    memory = GpuMemory("cuda", by_process=lambda: held, read=lambda: None)
    memory.look()
    assert memory.peak_bytes == 4 * GIB


def test_memory_of_a_loop_in_jax_is_what_its_allocator_held_and_not_the_pool() -> None:
    peaks, pool = iter([3 * GIB, None, 5 * GIB]), [{os.getpid(): 72 * GIB}]
    memory = GpuMemory(
        "cuda", by_allocator=lambda: next(peaks), by_process=lambda: pool, read=lambda: None
    )
    memory.look()
    assert memory.peak_bytes == 3 * GIB
    memory.look()
    assert memory.peak_bytes == 72 * GIB, "an allocator that does not tell"


@pytest.mark.parametrize(
    ("started", "stats", "peak"),
    [
        (False, [{"peak_bytes_in_use": 3}], None),
        (True, [{"peak_bytes_in_use": 3}, {"peak_bytes_in_use": 5}], 5),
        (True, [None], None),  # a CPU, or an allocator that does not count
    ],
)
def test_jax_is_asked_only_where_it_has_started(
    started: bool, stats: list[Any], peak: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [SimpleNamespace(memory_stats=lambda one=one: one) for one in stats]
    bridge = SimpleNamespace(backends_are_initialized=lambda: started)
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", bridge)
    jax = SimpleNamespace(local_devices=lambda: devices if started else pytest.fail("started"))
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert gpu_monitor.jax_peak_bytes() == peak
    monkeypatch.delitem(sys.modules, "jax")
    assert gpu_monitor.jax_peak_bytes() is None


def test_a_jax_that_is_only_imported_is_not_started() -> None:
    code = (
        "import jax; from trainables import gpu_monitor; print(gpu_monitor.jax_peak_bytes(), "
        "jax._src.xla_bridge.backends_are_initialized())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == "None False\n", run.stderr


@pytest.mark.parametrize(
    ("by_jax", "by_torch", "held", "looked_up"),
    [
        (5, None, 5, 5),
        (5, [3, 40], 45, 45),  # environments in JAX, a policy in torch
        (5, [0, 0], 5, 5),
        (None, [3, 40], 40, 72),  # without JAX's pool the driver tells more
        (None, None, None, 72),
    ],
)
def test_what_jax_and_torch_hold_is_added_up(
    monkeypatch: pytest.MonkeyPatch,
    by_jax: int | None,
    by_torch: list[int] | None,
    held: int | None,
    looked_up: int,
) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: by_torch is not None,
        device_count=lambda: len(by_torch or pytest.fail("started")),
        max_memory_reserved=lambda number: (by_torch or [])[number],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(gpu_monitor, "jax_peak_bytes", lambda: by_jax)
    assert gpu_monitor.allocated_peak_bytes() == held
    memory = GpuMemory("cuda", by_process=lambda: [{os.getpid(): 72}], read=lambda: None)
    memory.look()
    assert memory.peak_bytes == looked_up
    monkeypatch.delitem(sys.modules, "torch")
    assert gpu_monitor.allocated_peak_bytes() == by_jax


def test_nothing_is_asked_when_the_trial_runs_on_the_cpu() -> None:
    monitor = GpuMonitor("cpu", lambda: pytest.fail("asked"))
    monitor.look()
    assert monitor.figures() == NOTHING


def test_limits_that_lower_the_clocks_are_shares_of_the_samples() -> None:
    held = dataclasses.replace(BUSY, held_back_by=("power", "temperature"))
    samples = iter([BUSY, held, dataclasses.replace(BUSY, held_back_by=("power",))])
    monitor = GpuMonitor("cuda", lambda: next(samples))
    for _ in range(3):
        monitor.look()
    shares = monitor.figures()["gpu_held_back"]
    assert shares == {"power": pytest.approx(2 / 3), "temperature": pytest.approx(1 / 3)}


OWN = os.getpid()


@pytest.mark.parametrize(
    ("computing", "listed", "children", "are_others"),
    [
        ([], [], [], False),
        ([OWN], [OWN], [], False),
        ([OWN, 7], [OWN, 7], [], True),
        ([OWN, 7], [OWN, 7], [7], False),
        ([7], [], [], False),  # in a container, it is the trial itself, by a pid of the host
        ([7, 8], [], [], True),
        ([7, 8], [], [9], False),  # a command's own processes, or another's: nobody can tell
        ([7, 8], [9], [9], True),  # newer drivers list the trial's own, by their pids here
        ([7, 8], [OWN, 9], [9], False),
    ],
)
def test_others_that_compute_on_the_gpu_are_told_by_pid_or_by_number(
    computing: list[int],
    listed: list[int],
    children: list[int],
    are_others: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_monitor, "descendants", lambda pid: set(children))
    asked: list[int] = []

    def since(moment_us: int) -> list[int]:
        asked.append(moment_us)
        return computing

    moments = iter([1.0, 2.5, 3.0])
    neighbours = GpuNeighbours(
        "cuda",
        computing=since,
        listed=lambda: [{}, dict.fromkeys(listed, GIB)],
        clock=lambda: next(moments),
    )
    assert [neighbours.disturbed(), neighbours.disturbed()] == [are_others] * 2
    assert neighbours.num_blocks == 2 * are_others
    assert asked == [1_000_000, 2_500_000]


def test_nobody_is_looked_for_on_a_gpu_when_the_trial_runs_on_the_cpu() -> None:
    neighbours = GpuNeighbours("cpu", computing=lambda *_: pytest.fail("asked"))
    assert not neighbours.disturbed()
