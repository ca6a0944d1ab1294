"""A canary on real CPUs. What it tells of neighbours is shown by benchmarks.neighbours."""

import threading

import numpy as np
import pytest

from trainables import canary as canary_module
from trainables.canary import Canary, canary_on
from trainables.disturbance import IGNORES
from trainables.machine_speed import MIN_LOOKS


@pytest.mark.parametrize("num_cpus", [0, 1, 3])
def test_its_speed_is_known_after_some_looks(num_cpus: int) -> None:
    before = threading.active_count()
    one = Canary(num_cpus)
    assert threading.active_count() - before == max(0, num_cpus - 1)
    for _ in range(MIN_LOOKS - 1):
        one.look()
    assert one.machine_speed is None
    one.look()
    found = one.machine_speed
    assert found is not None
    assert found.compute.mean > 1e8
    assert found.memory.mean > 1e8


def test_no_more_threads_than_it_may_start() -> None:
    before = threading.active_count()
    Canary(64)
    assert threading.active_count() - before == 7


def test_its_work_is_the_product_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    matmul = np.matmul

    def counted(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        shapes.append((a.shape, a.dtype))
        matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    Canary(1).look()
    assert set(shapes) == {((256, 256), np.dtype(np.float32))}
    assert len(shapes) * 2 * 256**3 == canary_module._FLOPS * canary_module._NUM_REPEATS


def test_it_is_none_where_neighbours_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert canary_on(1) is None  # the tests' own environment says so
    monkeypatch.delenv(IGNORES)
    assert canary_on(1) is not None


def test_a_training_without_room_for_a_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IGNORES)

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert canary_on(4) is None
