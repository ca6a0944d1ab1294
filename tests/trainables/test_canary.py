"""A canary on real CPUs. What it tells of neighbours is shown by benchmarks.neighbours."""

import os
import threading

import numpy as np
import pytest

from trainables import canary as canary_module
from trainables.canary import Canary, canary_on
from trainables.disturbance import IGNORES
from trainables.machine_speed import MIN_LOOKS, MachineBest

HERE = sorted(os.sched_getaffinity(0))
QUIET = [True] * MIN_LOOKS


@pytest.mark.parametrize("cpus", [(), (HERE[0],), (HERE[0], HERE[-1], HERE[0])])
def test_its_speed_is_known_after_some_blocks(cpus: tuple[int, ...]) -> None:
    before = threading.active_count()
    one = Canary(cpus)
    assert threading.active_count() - before == max(0, len(cpus) - 1)
    for _ in range(MIN_LOOKS):
        one.look()
    assert one.machine_speed(QUIET) is None
    one.look()
    assert one.machine_speed([*QUIET[1:], False]) is None
    found = one.machine_speed(QUIET)
    assert found is not None
    assert found.compute.mean > 1e8
    assert found.memory.mean > 1e8
    assert (found.handoff is None) is (len(cpus) < 2)
    assert found.handoff is None or 1e2 < found.handoff.mean < 1e7


def test_it_leaves_the_trial_on_all_its_cpus() -> None:
    one = Canary(HERE)
    one.look()
    assert sorted(os.sched_getaffinity(0)) == HERE


def test_no_more_threads_than_it_may_start() -> None:
    before = threading.active_count()
    Canary([HERE[0]] * 64)
    assert threading.active_count() - before == 7


@pytest.mark.parametrize(
    ("best", "are_slowed"),
    [
        (MachineBest(), False),
        (MachineBest(compute=1e20), True),
        (MachineBest(handoff=1e20), True),
        (MachineBest(memory=1e20), False),  # of single looks it says little
    ],
)
def test_blocks_are_slowed_beside_the_best_of_the_search(
    best: MachineBest, are_slowed: bool
) -> None:
    one = Canary((HERE[0], HERE[-1]))
    for _ in range(3):
        one.look()
    assert one.slowed(best) == [are_slowed] * 2


def test_its_work_is_the_product_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    matmul = np.matmul

    def counted(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        shapes.append((a.shape, a.dtype))
        matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    Canary(()).look()
    assert set(shapes) == {((256, 256), np.dtype(np.float32))}
    assert len(shapes) * 2 * 256**3 == canary_module._FLOPS * canary_module._NUM_REPEATS


def test_it_is_none_where_neighbours_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert canary_on((0,)) is None  # the tests' own environment says so
    for off in ("0", ""):
        monkeypatch.setenv(IGNORES, off)
        assert canary_on((0,)) is not None
    monkeypatch.delenv(IGNORES)
    assert canary_on((0,)) is not None


def test_a_training_without_room_for_a_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IGNORES)

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert canary_on(range(4)) is None
