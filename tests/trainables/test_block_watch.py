"""The watch over a trial's blocks: what it adds up of others and of slower CPUs."""

import dataclasses
import os
from collections.abc import Sequence

import pytest

from trainables import block_watch
from trainables.block_watch import BlockWatch
from trainables.disturbance import IGNORES
from trainables.machine_speed import MachineBest
from trainables.measurement import TrialRequest

REQUEST = TrialRequest(
    workload="anything:at_all",
    config={},
    options={},
    platform="cpu",
    cpus=tuple(sorted(os.sched_getaffinity(0))),
    machine_best=MachineBest(compute=1.0),
)


class FakeCanary:
    """A canary that says of the second block that the CPUs were slower, once it has seen three."""

    def __init__(self) -> None:
        self.num_looks = 0
        self.counted: list[bool] = []

    def look(self) -> None:
        self.num_looks += 1

    def slowed(self, best: MachineBest) -> list[bool]:
        assert best == REQUEST.machine_best
        num_blocks = self.num_looks - 1
        return [number == 1 and num_blocks >= 3 for number in range(num_blocks)]

    def machine_speed(self, counts: Sequence[bool]) -> None:
        self.counted = list(counts)


class FakeNeighbours:
    """Others that disturb the blocks that they are told to."""

    own_cpus, others_cpus = 1.5, 0.5

    def __init__(self, *disturbed: bool) -> None:
        self._disturbed = list(disturbed)

    def disturbed(self) -> bool:
        return self._disturbed.pop(0)


def watch_over(
    monkeypatch: pytest.MonkeyPatch, *by_others: bool, platform: str = "cpu"
) -> tuple[BlockWatch, FakeCanary]:
    canary = FakeCanary()
    monkeypatch.delenv(IGNORES)
    monkeypatch.setattr(block_watch, "canary_on", lambda cpus: canary)
    monkeypatch.setattr(
        block_watch, "neighbours_on", lambda cpus, on_gpu: FakeNeighbours(*by_others)
    )
    request = dataclasses.replace(REQUEST, platform=platform)  # type: ignore[arg-type]
    return BlockWatch(request), canary


def test_a_block_is_judged_anew_when_a_later_one_shows_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, canary = watch_over(monkeypatch, False, False, False)
    assert list(watch.disturbed()) == [False]
    assert list(watch.disturbed()) == [False, False]
    assert list(watch.disturbed()) == [False, True, False]
    assert canary.num_looks == 4  # before the first block, and after each
    figures = watch.figures()
    assert (figures["num_slowed_blocks"], figures["others_cpus"]) == (1, 0.5)
    assert figures["own_cpus"] == 1.5
    assert canary.counted == [True, False, True]


def test_what_others_disturbed_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, canary = watch_over(monkeypatch, True, True, False)
    assert [list(watch.disturbed()) for _ in range(3)][-1] == [True, True, False]
    assert watch.figures()["num_slowed_blocks"] == 0
    assert canary.counted == [False, False, True]


def test_slower_cpus_disturb_no_training_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, canary = watch_over(monkeypatch, False, False, True, platform="cuda")
    assert [list(watch.disturbed()) for _ in range(3)][-1] == [False, False, True]
    assert watch.figures()["num_slowed_blocks"] == 0
    assert canary.counted == [True, True, False]


class FakeOnGpu(FakeNeighbours):
    """Others that compute on the GPU in the blocks that they are told to."""

    num_blocks = 1

    def __init__(self, *_: object) -> None:
        super().__init__(False, True, False)


def test_others_on_the_gpu_disturb_a_training_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_watch, "GpuNeighbours", FakeOnGpu)
    watch, canary = watch_over(monkeypatch, False, False, True, platform="cuda")
    assert [list(watch.disturbed()) for _ in range(3)][-1] == [False, True, True]
    assert watch.figures()["num_gpu_shared_blocks"] == 1
    assert canary.counted == [True, False, False]


def test_nothing_is_disturbed_where_neighbours_are_ignored() -> None:
    watch = BlockWatch(REQUEST)  # the tests' own environment says so
    assert [list(watch.disturbed()) for _ in range(2)] == [[False], [False, False]]
    assert watch.figures()["machine_speed"] is None
