"""Other programs on a trial's CPUs, seen from within the trial, between its blocks of updates.

The kernel counts what each CPU did, and what this process and its descendants used of it. The rest
of the busy time is a neighbour's; time that a virtual machine was robbed of is in it. What Ray and
the search take is none's: it is there beside all trials. A look reads some small files, in no
block. Where the kernel does not count (gVisor), or the trial is not bound to its CPUs, nothing is
known. A container's CPU quota is shared, too: where it holds the trial back, and others under it
took a good part of it, they disturb the trial from whatever CPUs. A trial that uses a quota up
alone is held back for as long as it runs: that is its speed here, and no disturbance.
On a machine that is shared for good, a person turns it off by a variable, `IGNORES`.
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from cluster.node.proc import PROC, TICKS_PER_S, read_stat
from cluster.node.quota import Quotas, QuotaUse

IGNORES = "RL_TUNER_IGNORE_NEIGHBOURS"
"""The variable that, set to anything but 0, makes other programs disturb nothing."""

_BUSY = (0, 1, 2, 5, 6, 7)
"""Places in a line of /proc/stat: user, nice, system, irq, softirq, steal. Guests are in user."""

_QUIET_CPUS = 0.1
"""CPUs' worth of time that others may take: a quiet system takes less."""

_MOST_CPUS = 0.3
"""CPUs' worth of time that others, Ray and the search may take together.

These two were seen to take 0.03 to 0.15. A search that thinks hard takes a whole one.
"""

_MOST_HELD_BACK = 0.02
"""The share of its CPUs' time for which a quota may hold a trial back."""

_RAYLET, _RAYS_OWN = b"/raylet", b"/ray/"
"""The end of the program's path that starts Ray's workers, and a part of its others' commands. A
worker calls itself by what it runs.
"""

_ROUNDING_TICKS = 1.5
"""The kernel counts whole ticks, on each CPU by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Seconds up to a moment: the clock's, busy ones of the trial's CPUs, the trial's own, and
    those that Ray and the search took there, and everywhere. `quotas` are those on the trial.
    """

    at_s: float
    busy_s: float
    own_s: float
    search_s: float
    search_everywhere_s: float = 0.0
    quotas: tuple[QuotaUse, ...] = ()


class Neighbours:
    """A count of the time that others took on a trial's CPUs, from look to look.

    `read` returns the times now, `None` where they are not counted. A training on a GPU mostly
    leaves its CPUs idle, and others disturb it only where they leave no room: an H100 was seen to
    train as fast on one CPU as on 16 (benchmarks/README.md).
    """

    def __init__(
        self, num_cpus: int, read: Callable[[], CpuTimes | None], *, on_gpu: bool = False
    ) -> None:
        self._num_cpus = num_cpus
        self._on_gpu = on_gpu
        self._rounding_s = _ROUNDING_TICKS * math.sqrt(num_cpus) / TICKS_PER_S
        self._read = read
        self._last = read()
        self._others_s = self._own_s = self._watched_s = 0.0

    @property
    def own_cpus(self) -> float | None:
        """CPUs' worth of time that the trial itself took so far; `None` where it is not counted."""
        return self._own_s / self._watched_s if self._watched_s else None

    @property
    def others_cpus(self) -> float | None:
        """CPUs' worth of time that others took so far, without Ray and the search; `None` where it
        is not counted.
        """
        return self._others_s / self._watched_s if self._watched_s else None

    def forget(self) -> None:
        """Count from now on: what came before was the start-up."""
        self._last = self._read()
        self._others_s = self._own_s = self._watched_s = 0.0

    def disturbed(self) -> bool:
        """Return whether others disturbed the stretch since the last call, or since the start."""
        before, now = self._last, self._read()
        self._last = now
        # What a process computed that ended unseen is lost, and would look like a neighbour's.
        if before is None or now is None or now.own_s < before.own_s:
            return False
        wall_s, own_s = now.at_s - before.at_s, now.own_s - before.own_s
        busy_s = now.busy_s - before.busy_s
        beside_s = busy_s - own_s
        others_s = max(0.0, beside_s - (now.search_s - before.search_s))
        self._others_s += others_s
        self._own_s += own_s
        self._watched_s += wall_s
        is_loud = beside_s > _MOST_CPUS * wall_s + self._rounding_s
        is_loud = is_loud or others_s > _QUIET_CPUS * wall_s + self._rounding_s
        if self._on_gpu:  # room for as much again as it took, and for a whole CPU at least
            is_loud &= self._num_cpus * wall_s - busy_s < max(own_s, wall_s)
        return is_loud or self._is_held_back(before, now)

    def _is_held_back(self, before: CpuTimes, now: CpuTimes) -> bool:
        """Return whether a quota held the trial back that others used up, too."""
        wall_s, own_s = now.at_s - before.at_s, now.own_s - before.own_s
        known_s = own_s + now.search_everywhere_s - before.search_everywhere_s
        return any(
            later.held_back_s - earlier.held_back_s > _MOST_HELD_BACK * self._num_cpus * wall_s
            and later.used_s - earlier.used_s - known_s > _MOST_CPUS * wall_s + self._rounding_s
            for earlier, later in zip(before.quotas, now.quotas, strict=False)
        )


class SearchProcesses:
    """The processes of Ray and of the search that this one came from, and the time they take.

    They are this one's ancestors up to what started Ray, and Ray's own beside them. Other trials of
    the search are not among them.
    """

    def __init__(self, pids: Iterable[int] | None = None) -> None:
        self._pids = frozenset(_of_the_search() if pids is None else pids)
        self._alone_s: dict[int, float] = {}
        self._spent_s = 0.0
        self.everywhere_s = 0.0
        """The same as `spent_s` on all CPUs, up to its last call."""

    def spent_s(self, cpus: frozenset[int]) -> float:
        """Return the CPU seconds that they took on `cpus` since the first call."""
        before = self._alone_s
        stats = [stat for stat in map(read_stat, self._pids) if stat is not None]
        self._alone_s = {stat.pid: stat.alone_s for stat in stats}
        for stat in stats:
            since_s = stat.alone_s - before.get(stat.pid, stat.alone_s)
            self.everywhere_s += since_s
            self._spent_s += since_s if stat.last_cpu in cpus else 0.0
        return self._spent_s


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


def ignores_neighbours() -> bool:
    """Return whether a person shares this machine for good, and said so by the variable."""
    return os.environ.get(IGNORES, "0") not in {"", "0"}


def neighbours_on(cpus: Sequence[int], *, on_gpu: bool = False) -> Neighbours:
    """Return a count of the time that others take on these CPUs, beside this process's tree.

    `on_gpu` is whether the training runs on a GPU, and leaves most of its CPUs idle.
    """
    own, search, quotas = frozenset(cpus), SearchProcesses(), Quotas()
    return Neighbours(len(own), lambda: cpu_times(own, search, quotas), on_gpu=on_gpu)


def cpu_times(cpus: frozenset[int], search: SearchProcesses, quotas: Quotas) -> CpuTimes | None:
    """Return the times of this process's tree and of `cpus`; `None` where they are not counted.

    Nor are they where it may run elsewhere, too: its own time would be taken for these CPUs'.
    """
    busy_s = _busy_s(cpus)
    if busy_s is None or not os.sched_getaffinity(0) <= cpus:
        return None
    return CpuTimes(
        at_s=time.monotonic(),
        busy_s=busy_s,
        own_s=_own_s(),
        search_s=search.spent_s(cpus),
        search_everywhere_s=search.everywhere_s,
        quotas=quotas.read(),
    )


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
    for child in _children(pid):
        yield child
        yield from descendants(child)


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                yield from map(int, (task / "children").read_text().split())


def _of_the_search() -> Iterator[int]:
    """Yield the parent, and where Ray is among the ancestors, all up to what started it, with
    Ray's processes and the copies of the driver beside them.
    """
    parent = os.getppid()
    ancestors = list(_ancestors(parent))
    place = next((n for n, pid in enumerate(ancestors) if _is_raylet(pid)), None)
    if place is None:
        yield parent
        return
    yield from ancestors[: place + 2]
    for pid in ancestors[place : place + 2]:
        for child in _children(pid):
            command = _command(child)
            if _RAYS_OWN in command or command == _command(pid):
                yield child


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0 and (stat := read_stat(pid)) is not None:
        yield pid
        pid = stat.parent


def _is_raylet(pid: int) -> bool:
    return _command(pid).split(b"\0")[0].endswith(_RAYLET)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes()
    return b""
