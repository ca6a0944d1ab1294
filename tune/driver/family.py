"""The processes that came from one process.

Orphans are nobody's any more, so all that were seen are remembered.
"""

import contextlib
import os
import signal
from collections.abc import Callable

from cluster.node.proc import PROC, read_stat, start_ticks
from trainables.disturbance import descendants


class Family:
    """The descendants of a process that were seen so far."""

    def __init__(self, root: int, on_new: Callable[[int, int], None] = lambda pid, started: None):
        self._root = root
        self._started: dict[int, int] = {}
        self._on_new = on_new

    def look(self) -> None:
        """Take note of those that are there now; call `on_new(pid, started)` for each new one."""
        for pid in descendants(self._root):
            stat = read_stat(pid)
            if stat is not None and self._started.get(pid) != stat.started:
                self._started[pid] = stat.started
                self._on_new(pid, stat.started)

    def kill(self, *, spare: int = 0) -> None:
        """Kill all that still live, but the process `spare`."""
        self.look()
        for pid, started in self._started.items():
            if pid != spare and is_alive(pid, started):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def is_alive(pid: int, started: int) -> bool:
    """Return whether the process that started then still runs; a zombie does not."""
    return start_ticks(pid) == started


def command_of(pid: int) -> str:
    """Return the name of a process's program, empty if it has ended."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
