"""Other programs on a trial's CPUs, seen from within the trial, between its blocks of updates.

The kernel counts what each CPU did, and what this process and its descendants used of it. The rest
of the busy time is a neighbour's; time that a virtual machine was robbed of is in it. A look reads
a handful of small files, in no block. Where the kernel does not count (gVisor), nothing is known.
On a machine that is shared for good, a person turns it off by a variable, `IGNORES`.
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence

from cluster.node.proc import PROC, TICKS_PER_S, read_stat

IGNORES = "RL_TUNER_IGNORE_NEIGHBOURS"
"""The variable that, set to anything, makes other programs disturb nothing."""

_BUSY = (0, 1, 2, 5, 6, 7)
"""Places in a line of /proc/stat: user, nice, system, irq, softirq, steal. Guests are in user."""

_QUIET_CPUS = 0.1
"""CPUs' worth of time that others may take: Ray, this search and a quiet system take less."""

_ROUNDING_TICKS = 1.5
"""The kernel counts whole ticks, on each CPU by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Seconds up to a moment: the clock's, busy ones of the trial's CPUs, the trial's own."""

    at_s: float
    busy_s: float
    own_s: float


class Neighbours:
    """A count of the time that others took on a trial's CPUs, from look to look.

    `read` returns the times now, `None` where they are not counted.
    """

    def __init__(self, num_cpus: int, read: Callable[[], CpuTimes | None]) -> None:
        self._rounding_s = _ROUNDING_TICKS * math.sqrt(num_cpus) / TICKS_PER_S
        self._read = read
        self._last = read()
        self._others_s = 0.0
        self._watched_s = 0.0

    @property
    def others_cpus(self) -> float | None:
        """CPUs' worth of time that others took so far; `None` where it is not counted."""
        return self._others_s / self._watched_s if self._watched_s else None

    def disturbed(self) -> bool:
        """Return whether others disturbed the stretch since the last call, or since the start."""
        before, now = self._last, self._read()
        self._last = now
        if before is None or now is None:
            return False
        wall_s = now.at_s - before.at_s
        others_s = max(0.0, (now.busy_s - before.busy_s) - (now.own_s - before.own_s))
        self._others_s += others_s
        self._watched_s += wall_s
        return others_s > _QUIET_CPUS * wall_s + self._rounding_s


class Restarts:
    """A count of the blocks in which processes of the trial's own started, or ended.

    Their start-up is in the speed of such a block, and a longer block hides more of it.
    """

    def __init__(self) -> None:
        self.num_blocks = 0
        """Blocks so far in which that was seen."""
        self._seen = self._now()

    def look(self) -> None:
        """Look at the end of a block."""
        before, self._seen = self._seen, self._now()
        (pids, ended_s), (pids_before, ended_before_s) = self._seen, before
        self.num_blocks += bool(pids - pids_before) or ended_s > ended_before_s

    @staticmethod
    def _now() -> tuple[frozenset[int], float]:
        return frozenset(descendants(os.getpid())), _ended_s()


def cpu_times(cpus: Sequence[int]) -> CpuTimes | None:
    """Return the times of this process's tree and of `cpus`; `None` where they are not counted."""
    busy_s = _busy_s(frozenset(cpus))
    if busy_s is None:
        return None
    return CpuTimes(at_s=time.monotonic(), busy_s=busy_s, own_s=_own_s())


def _busy_s(cpus: frozenset[int]) -> float | None:
    busy, idle = 0, 0
    with contextlib.suppress(OSError), (PROC / "stat").open() as lines:
        for line in lines:
            name, *fields = line.split()
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cpus:
                busy += sum(int(fields[place]) for place in _BUSY)
                idle += int(fields[3])
    return busy / TICKS_PER_S if busy and idle else None


def _own_s() -> float:
    """Return the CPU seconds of this process and of all that came from it, ended ones included."""
    stats = (read_stat(pid) for pid in descendants(os.getpid()))
    living_s = sum(stat.cpu_s for stat in stats if stat is not None)
    return time.process_time() + _ended_s() + living_s


def _ended_s() -> float:
    """Return the CPU seconds of the children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that came from `pid`; none where the kernel does not tell."""
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                for child in map(int, (task / "children").read_text().split()):
                    yield child
                    yield from descendants(child)
