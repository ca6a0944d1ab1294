"""Shared memory that a killed trial leaves: files in /dev/shm, which take host memory for good.

Whoever makes one removes it at its own end, and trials are killed. So does the helper of torch and
of multiprocessing that would remove it, as it is one of the trial's processes. A trial of Sample
Factory left 19 files.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cluster.node.proc import PROC

SHM = Path("/dev/shm")

_DRAWN = re.compile(r"torch_\d+_\d+_\d+|psm_[0-9a-f]+|sem\.mp-\w+|nccl-\w+")
"""Names of torch, multiprocessing and NCCL, drawn by chance: no later run looks for them. What has
another name may be data that a person keeps there."""


class SharedFiles:
    """The files that the processes of one trial map there, and that were not there before it."""

    def __init__(self) -> None:
        self._before = _listed()
        self._seen: set[str] = set()

    def see(self, lines: Iterable[bytes]) -> None:
        """Take note of the files in lines of /proc/PID/maps of the trial's processes."""
        self._seen |= _named(lines) - self._before

    def remove(self) -> None:
        """Remove what is left of it and is mapped by no process any more."""
        left = self._seen & _listed()
        if left:
            left -= _named(line for entry in os.listdir(PROC) for line in maps_of(entry))
        for name in left:
            with contextlib.suppress(OSError):
                (SHM / name).unlink()


def maps_of(pid: int | str) -> list[bytes]:
    """Return the lines of a process's memory maps; none if it has ended, or is another user's."""
    try:
        return (PROC / str(pid) / "maps").read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError, PermissionError):
        return []


def _named(lines: Iterable[bytes]) -> set[str]:
    start = os.fsencode(f" {SHM}/")
    found = {os.fsdecode(line.partition(start)[2]) for line in lines if start in line}
    return {name for name in found if _DRAWN.fullmatch(name)}


def _listed() -> set[str]:
    """Return the names of the files that are there now."""
    try:
        return set(os.listdir(SHM))
    except OSError:  # a sandbox has none
        return set()
