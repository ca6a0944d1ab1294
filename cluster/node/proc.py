"""/proc/PID/stat: the kernel's line about one process. Linux, stdlib only."""

import dataclasses
import os
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """One process at one moment.

    `started` is in clock ticks since boot: it tells the process from a later one of the same pid.
    `is_dead` holds for zombies, too: they have ended, with all of their threads, and wait to be
    reaped. `cpu_s` is what it has computed, with the processes that it started and waited for,
    `alone_s` without these. It ran last on `last_cpu`.
    """

    pid: int
    started: int
    parent: int
    session: int
    is_dead: bool
    num_threads: int
    resident_bytes: int
    cpu_s: float
    alone_s: float
    last_cpu: int


def start_ticks(pid: int) -> int | None:
    """Return a process's start in clock ticks since boot, `None` if it is gone or a zombie."""
    stat = read_stat(pid)
    return None if stat is None or stat.is_dead else stat.started


def read_stat(pid: int) -> ProcessStat | None:
    """Return a process's state, `None` if it is gone or hidden from this user."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name in parentheses may hold spaces and parentheses itself: fields start after the last.
    fields = text[text.rindex(")") + 2 :].split()
    num_threads = int(fields[17])
    return ProcessStat(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        session=int(fields[3]),
        # Its first thread alone is told here. Others may still run, or give a GPU's memory back:
        # files are closed by the last of them.
        is_dead=fields[0] in "ZX" and num_threads <= 1,
        num_threads=num_threads,
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
        cpu_s=sum(map(int, fields[11:15])) / TICKS_PER_S,
        alone_s=sum(map(int, fields[11:13])) / TICKS_PER_S,
        last_cpu=int(fields[36]),
    )
