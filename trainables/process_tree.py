"""All processes of one trial, seen from outside: look at what they use, kill them. Linux only.

A trial's processes are its leader's session, their descendants, and whatever was once seen to be
either: a grandchild that left the session and lost its parent must be killed too. One that did so
before anybody looked is found as an orphan, if its trial's parent adopts them.
"""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterable

from cluster.node.proc import PROC, ProcessStat, read_stat

_KILL_POLL_S = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TreeUsage:
    """Current use of the tree: OS threads, resident bytes with shared pages counted per process."""

    pids: tuple[int, ...]
    num_threads: int
    resident_bytes: int


def most_cpus(pids: Iterable[int]) -> int:
    """Return the largest number of CPUs that one of the processes may run on; 0 for none."""
    most = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            most = max(most, len(os.sched_getaffinity(pid)))
    return most


class ProcessTree:
    """The processes that came from `leader`, which must be a session leader we have not reaped."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        born = read_stat(leader)
        self._born = 0 if born is None else born.started
        self._members: dict[int, int] = {}  # pid -> started
        self._foreign: set[int] = set()

    def usage(self) -> TreeUsage:
        """Return the current use. It costs one listing of /proc and a small read per member."""
        members = self._look()
        return TreeUsage(
            pids=tuple(stat.pid for stat in members),
            num_threads=sum(stat.num_threads for stat in members),
            resident_bytes=sum(stat.resident_bytes for stat in members),
        )

    def kill(self, patience_s: float = 5.0) -> bool:
        """Send SIGKILL to all of them until none is left alive; return whether that worked.

        The signals are repeated, because a process may fork in between. A process in
        uninterruptible sleep (a stuck GPU driver) outlives even that.
        """
        deadline = time.monotonic() + patience_s
        self._foreign.clear()
        while members := self._look():
            for stat in members:
                _signal(stat.pid)
            if time.monotonic() > deadline:
                return False
            time.sleep(_KILL_POLL_S)
        for pid in self._members.keys() - {self._leader}:
            with contextlib.suppress(ChildProcessError):  # most have another parent
                os.waitpid(pid, os.WNOHANG)
        return True

    def _look(self) -> list[ProcessStat]:
        """Return the living members. A process seen once as foreign is not read again."""
        listed = {int(entry) for entry in os.listdir(PROC) if entry.isdigit()}
        self._foreign &= listed
        stats = {s.pid: s for s in map(read_stat, listed - self._foreign) if s is not None}
        members: dict[int, int] = {}
        rest = dict(stats)
        while found := [stat for stat in rest.values() if self._is_ours(stat, members)]:
            for stat in found:
                members[stat.pid] = stat.started
                del rest[stat.pid]
        self._members = members
        self._foreign.update(rest)
        return [stats[pid] for pid in members if not stats[pid].is_dead]

    def _is_ours(self, stat: ProcessStat, members: dict[int, int]) -> bool:
        return (
            stat.pid == self._leader
            or stat.session == self._leader
            or stat.parent in members
            or self._members.get(stat.pid) == stat.started
            or self._is_orphan(stat)
        )

    def _is_orphan(self, stat: ProcessStat) -> bool:
        """Return whether this process adopted it from the trial: its own are of its session."""
        return (
            stat.parent == os.getpid()
            and stat.started >= self._born
            and stat.session != os.getsid(0)
        )


def proportional_bytes(pids: Iterable[int]) -> int | None:
    """Return resident bytes with shared pages shared out, `None` if one could not be read.

    Forked workers share most of their pages, and by the plain sum a trial that fits would be
    killed. The kernel walks the page tables for it: read it only before such a decision.
    """
    total_kib = 0
    for folder in (PROC / str(pid) for pid in pids):
        try:
            lines = (folder / "smaps_rollup").read_text().splitlines()
        except ProcessLookupError:
            continue
        except (FileNotFoundError, PermissionError):
            if folder.exists():  # gVisor has no such file
                return None
            continue
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib * 1024


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.kill(pid, signal.SIGKILL)
