"""All processes of a job: found by a mark, recorded, killed. Linux, stdlib only.

Ray's daemons and every trial lead sessions of their own, and orphans become children of pid 1, so
neither a process group nor a process tree holds a job together. A variable in the environment does
(as Jenkins' BUILD_ID); processes without it are found below the supervisor, which adopts orphans.
"""

import contextlib
import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.node.atomic import read_json, write_json
from cluster.node.proc import PROC, TICKS_PER_S, read_stat, start_ticks

MARK = "RL_TUNER_FLEET_JOB"
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h


def record(path: Path, pid: int) -> None:
    """Record a process in a file, with its start, so that a later one of its pid is told apart."""
    write_json(path, {"pid": pid, "start_ticks": start_ticks(pid)})


def is_alive(path: Path) -> bool:
    """Return whether the recorded process still runs."""
    known: dict[str, Any] | None = read_json(path)
    if known is None or known["start_ticks"] is None:
        return False
    ticks: int = known["start_ticks"]
    return start_ticks(known["pid"]) == ticks


def kill(path: Path) -> None:
    """Kill the recorded process, if it still runs, and wait until it is gone."""
    if is_alive(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(read_json(path)["pid"], signal.SIGKILL)
    while is_alive(path):
        time.sleep(0.02)


def spawn(words: Sequence[str], request: Mapping[str, Any], *, cwd: Path, log: Any) -> int:
    """Start `python -m WORDS` in a session of its own, with a request as JSON on its stdin.

    It outlives this process. Return its pid.
    """
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(request).encode())
    process.returncode = 0  # it is meant to outlive us: no ResourceWarning for it
    return process.pid


def has_ended(pid: int) -> bool:
    """Return whether a process that `spawn` started here has ended."""
    return start_ticks(pid) is None


def adopt_orphans() -> None:
    """Make this process the parent of all orphans below it (a child subreaper)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Adopt orphans while the block runs, where the kernel or sandbox lets us."""
    libc, was = ctypes.CDLL(None), ctypes.c_int(0)
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, was.value, 0, 0, 0)


def of_job(mark: str, supervisor: Path) -> set[int]:
    """Return the live processes with this mark, and all below them and below the supervisor.

    The supervisor itself and this process are not among them.
    """
    wanted = f"{MARK}={mark}".encode()
    parents = dict(_parents())
    keeper = read_json(supervisor)["pid"] if is_alive(supervisor) else None
    found = {pid for pid in parents if wanted in _environ(pid)}
    while (
        below := {pid for pid, parent in parents.items() if parent in found or parent == keeper}
        - found
    ):
        found |= below
    return {pid for pid in found - {os.getpid(), keeper} if start_ticks(pid) is not None}


def kill_all(mark: str, supervisor: Path, *, timeout_s: float = 20.0) -> bool:
    """Kill the job's processes until there are none; return `False` if some outlive the timeout."""
    deadline = time.monotonic() + timeout_s
    while pids := of_job(mark, supervisor):
        if time.monotonic() > deadline:
            return False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return True


def machine_age_s() -> float | None:
    """Return the seconds since pid 1 started: in a container, since the rent began."""
    return _age_s(1)


def age_s(path: Path) -> float | None:
    """Return the seconds since the recorded process started, `None` if it does not run."""
    return _age_s(read_json(path)["pid"]) if is_alive(path) else None


def _age_s(pid: int) -> float | None:
    """Return the seconds since a process started, by a clock that nobody sets."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(uptime_s - ticks / TICKS_PER_S, 0.0)


def _parents() -> Iterator[tuple[int, int]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := read_stat(int(entry.name))):
            yield stat.pid, stat.parent


def _environ(pid: int) -> list[bytes]:
    place = PROC / str(pid)
    for path in itertools.chain([place / "environ"], place.glob("task/*/environ")):
        # Gone, another user's, or of a first thread that has ended: another one may tell.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if text := path.read_bytes():
                return text.split(b"\0")
    return []
