"""A canary: a short fixed piece of work, which says how fast a trial's CPUs are at a moment.

The kernel counts the CPU time that others take. It does not count what they take below that: the
memory bus, the cache, the clock, the physical core under two virtual CPUs. All of these slow a
canary down as they slow the training down. It runs between blocks of updates and is in none.

A look takes 10 to 20 ms. It multiplies matrices on all CPUs at once, and reads memory on one. The
best of a few repeats counts: what the kernel does for a millisecond is no neighbour.
"""

import os
import threading
import time
from collections.abc import Callable

import numpy as np

from trainables.disturbance import IGNORES
from trainables.machine_speed import MachineSpeed, level

_SIZE = 256  # a product takes half a millisecond
_NUM_PRODUCTS = 2
_FLOPS = 2.0 * _NUM_PRODUCTS * _SIZE**3
_SWEPT_BYTES = 2**25  # more than most caches have for one CPU
_NUM_REPEATS = 4
_MOST_THREADS = 8


class Canary:
    """Work on `num_cpus` CPUs, and its speed at each look.

    Its threads start here and wait between looks. NumPy's own pool has one thread in a trial. Its
    32 MiB are in the host memory that the trial is seen to take.

    Raises:
        RuntimeError: if no thread can be started.
        MemoryError: if there is no memory for it.
    """

    def __init__(self, num_cpus: int) -> None:
        num_threads = max(1, min(num_cpus, _MOST_THREADS))
        random = np.random.default_rng(0)
        self._matrices = random.random((num_threads, _SIZE, _SIZE), dtype=np.float32)
        self._products = np.empty_like(self._matrices)
        self._swept = np.ones(_SWEPT_BYTES // 4, dtype=np.float32)
        self._compute: list[float] = []
        self._memory: list[float] = []
        self._seconds = [0.0] * num_threads
        self._starts = threading.Barrier(num_threads)
        self._ends = threading.Barrier(num_threads)
        for number in range(1, num_threads):
            threading.Thread(target=self._serve, args=(number,), daemon=True).start()

    def look(self) -> None:
        """Do the work once, and keep its speed."""
        self._multiply(0)
        # The slowest counts: where two CPUs share a core, only one of them may be slow.
        self._compute.append(len(self._seconds) * _FLOPS / max(self._seconds))
        self._memory.append(_SWEPT_BYTES / _shortest(lambda: self._swept.sum()))

    @property
    def machine_speed(self) -> MachineSpeed | None:
        """The speed over all looks, `None` while there are too few."""
        compute, memory = level(self._compute), level(self._memory)
        if compute is None or memory is None:
            return None
        return MachineSpeed(compute=compute, memory=memory)

    def _serve(self, number: int) -> None:
        while True:
            self._multiply(number)

    def _multiply(self, number: int) -> None:
        """Multiply at the same time as all other threads."""
        matrix, product = self._matrices[number], self._products[number]

        def multiply() -> None:
            for _ in range(_NUM_PRODUCTS):
                np.matmul(matrix, matrix, out=product)

        self._starts.wait()
        self._seconds[number] = _shortest(multiply)
        self._ends.wait()


def canary_on(num_cpus: int) -> Canary | None:
    """Return a canary; `None` where neighbours are to be ignored, or there is no room for it.

    A training at its limits must not die of it.
    """
    if os.environ.get(IGNORES):
        return None
    try:
        return Canary(num_cpus)
    except (RuntimeError, MemoryError):
        return None


def _shortest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few repeats."""
    seconds = []
    for _ in range(_NUM_REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
