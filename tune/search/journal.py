"""The file under Optuna's journal: one line per event, each whole or cut off. Stdlib only."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from cluster.node import regular

_CHUNK_BYTES = 2**16


def mend_end(journal: Path) -> None:
    """Cut off a last line that a full disk or a power cut tore.

    What was appended to it would make the line, and so the whole journal, unreadable. Optuna's own
    lock goes too: its holder died with the search. Call it only as the holder of the search's lock.

    Raises:
        OSError: if the journal is no regular file, or cannot be written.
    """
    with os.fdopen(regular.open_own(journal, os.O_RDWR), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = _end_of_last_line(file, end)
        if whole < end:
            file.truncate(whole)
            os.fsync(file.fileno())
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)


def _end_of_last_line(file: IO[bytes], end: int) -> int:
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


class Backend(Protocol):
    """The file of Optuna's journal, as `JournalFileBackend`."""

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Yield the events from a number on."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write events, and wait until the disk has them."""


class Lock(Protocol):
    """A lock between processes."""

    def acquire(self) -> bool:
        """Wait for the lock."""

    def release(self) -> None:
        """Give it back."""


class Unlocked:
    """The lock of a file that somebody else has locked."""

    def acquire(self) -> bool:
        """Do nothing."""
        return True

    def release(self) -> None:
        """Do nothing."""


class StepwiseBackend:
    """A journal whose events are written together, step by step, with one sync for each.

    Optuna writes and syncs every event of its own, some 15 for a trial, and reads each back. Within
    `step` they are kept, and read from memory; the lock is held, so that nobody writes between. The
    file of the `backend` has no lock of its own.
    """

    def __init__(self, backend: Backend, lock: Lock) -> None:
        self._backend = backend
        self._lock = lock
        self._kept: list[dict[str, Any]] | None = None  # of the step that is under way
        self._begun: int | None = None  # the number of its first event, once that is known

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Write what is appended within at the end, also if it ends in an error."""
        self._lock.acquire()
        try:
            self._kept = []
            try:
                yield
            finally:
                kept, self._kept, begun = self._kept, None, self._begun
                self._begun = None
                if kept:
                    self._backend.append_logs(kept)
                    for _ in self._backend.read_logs(begun or 0):
                        pass  # it notes where they lie, and need not look for it later
        finally:
            self._lock.release()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep events, or write them at once outside of a step."""
        if self._kept is not None:
            self._kept += json.loads(json.dumps(logs))  # as they would be read
            return
        self._lock.acquire()
        try:
            self._backend.append_logs(logs)
        finally:
            self._lock.release()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the events from a number on, those that are kept last."""
        if self._kept is None:
            yield from self._backend.read_logs(log_number_from)
            return
        if self._begun is None:
            others = list(self._backend.read_logs(log_number_from))
            self._begun = log_number_from + len(others)
            yield from others
        yield from self._kept[max(0, log_number_from - self._begun) :]
