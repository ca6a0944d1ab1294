"""A canary: a short fixed piece of work, which says how fast a trial's CPUs are at a moment.

The kernel counts the CPU time that others take. It does not count what they take below that: the
memory bus, the cache, the clock, the physical core under two virtual CPUs. All of these slow a
canary down as they slow the training down. It runs between blocks of updates and is in none.

Nor does it count how far two virtual CPUs are apart. A host may move them, for seconds, to cores
that share no cache; then threads that wait for each other, as those of one training do, take half
as long again, while each by itself is as fast as ever. So two of its threads wake each other.

A look takes 20 to 30 ms. It multiplies matrices on all CPUs at once, and reads memory on one. The
best of a few repeats counts: what the kernel does for a millisecond is no neighbour.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainables.disturbance import ignores_neighbours
from trainables.machine_speed import MachineBest, MachineSpeed, level, slowed_blocks

_SIZE = 256  # a product takes half a millisecond
_NUM_PRODUCTS = 2
_FLOPS = 2.0 * _NUM_PRODUCTS * _SIZE**3
_SWEPT_BYTES = 2**25  # more than most caches have for one CPU
_NUM_REPEATS = 4
_NUM_HANDOFFS = 200  # of 40 to 70 us each
_MOST_THREADS = 8


class Canary:
    """Work on these CPUs, and its speed at each look: one before the first block, one after each.

    `compute`, `memory` and `handoff` have the speeds, in the units of `MachineSpeed`; on one CPU
    the last is empty. Its threads start here and wait between looks. NumPy's own pool has one
    thread in a trial. Its 32 MiB are in the host memory that the trial is seen to take.

    Raises:
        RuntimeError: if no thread can be started.
        MemoryError: if there is no memory for it.
    """

    def __init__(self, cpus: Sequence[int]) -> None:
        self._cpus = tuple(cpus)[:_MOST_THREADS]
        num_threads = max(1, len(self._cpus))
        random = np.random.default_rng(0)
        self._matrices = random.random((num_threads, _SIZE, _SIZE), dtype=np.float32)
        self._products = np.empty_like(self._matrices)
        self._swept = np.ones(_SWEPT_BYTES // 4, dtype=np.float32)
        self.compute: list[float] = []
        self.memory: list[float] = []
        self.handoff: list[float] = []
        self._seconds = [0.0] * num_threads
        self._starts = threading.Barrier(num_threads)
        self._ends = threading.Barrier(num_threads)
        self._asked, self._answered = threading.Semaphore(0), threading.Semaphore(0)
        for number in range(1, num_threads):
            threading.Thread(target=self._serve, args=(number,), daemon=True).start()

    def look(self) -> None:
        """Do the work once, and keep its speed."""
        self._multiply(0)
        # The slowest counts: where two CPUs share a core, only one of them may be slow.
        self.compute.append(len(self._seconds) * _FLOPS / max(self._seconds))
        self.memory.append(_SWEPT_BYTES / _shortest(lambda: self._swept.sum()))
        if len(self._seconds) > 1:
            self.handoff.append(_NUM_HANDOFFS / self._hand_off())

    def slowed(self, best: MachineBest) -> list[bool]:
        """Return for each block whether the CPUs were clearly slower in it than at their best.

        All blocks are judged anew: a later one may show what the best is.
        """
        return slowed_blocks(self.compute, self.handoff, best)

    def machine_speed(self, counts: Sequence[bool]) -> MachineSpeed | None:
        """Return the speed after the blocks that count, `None` while they are too few."""
        compute, memory, handoff = (
            level([look for look, does in zip(looks[1:], counts, strict=False) if does])
            for looks in (self.compute, self.memory, self.handoff)
        )
        if compute is None or memory is None:
            return None
        return MachineSpeed(compute=compute, memory=memory, handoff=handoff)

    def _serve(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {self._cpus[number]})
        while True:
            self._multiply(number)
            if number == 1:
                for _ in range(_NUM_HANDOFFS):
                    self._asked.acquire()
                    self._answered.release()

    def _multiply(self, number: int) -> None:
        """Multiply at the same time as all other threads."""
        matrix, product = self._matrices[number], self._products[number]

        def multiply() -> None:
            for _ in range(_NUM_PRODUCTS):
                np.matmul(matrix, matrix, out=product)

        self._starts.wait()
        self._seconds[number] = _shortest(multiply)
        self._ends.wait()

    def _hand_off(self) -> float:
        """Return the seconds in which this thread and another wake each other so many times."""
        with _bound_to(self._cpus[0]):
            started = time.perf_counter()
            for _ in range(_NUM_HANDOFFS):
                self._asked.release()
                self._answered.acquire()
            return time.perf_counter() - started


def canary_on(cpus: Sequence[int]) -> Canary | None:
    """Return a canary; `None` where neighbours are to be ignored, or there is no room for it.

    A training at its limits must not die of it.
    """
    if ignores_neighbours():
        return None
    try:
        return Canary(cpus)
    except (RuntimeError, MemoryError):
        return None


@contextlib.contextmanager
def _bound_to(cpu: int) -> Iterator[None]:
    """Bind this thread, and no other, to one CPU: on the other's own it would be woken at once."""
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)


def _shortest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few repeats."""
    seconds = []
    for _ in range(_NUM_REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
