"""The file under Optuna's journal: one line per event, each whole or cut off. Stdlib only."""

import contextlib
import json
import os
from collections.abc import Iterator
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


class Lock(Protocol):
    """A lock between processes."""

    def acquire(self) -> bool:
        """Wait for the lock."""

    def release(self) -> None:
        """Give it back."""


class StepwiseBackend:
    """The file of Optuna's journal, which is there, and may be one that can only be read. Events
    are written together, step by step, with one sync for each.

    Optuna's own backend writes and syncs every event alone, reads each back from the file, and
    remembers for ever where each lies. Here the events of a `step` are kept, and read from memory;
    the lock is held, so that nobody writes between.
    """

    def __init__(self, journal: Path, lock: Lock) -> None:
        self._journal = journal
        self._lock = lock
        self._kept: list[str] | None = None  # the lines of the step that is under way
        self._begun: int | None = None  # the number of its first event, once that is known
        # The events that were read so far, and the bytes that they take: who reads goes on there.
        self._read = (0, 0)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Write what is appended within at the end, also if it ends in an error."""
        self._lock.acquire()
        try:
            self._kept = []
            try:
                yield
            finally:
                kept, self._kept, self._begun = self._kept, None, None
                if kept:
                    self._write(kept)
        finally:
            self._lock.release()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep events; outside of a step they are one by themselves."""
        if self._kept is None:
            with self.step():
                self.append_logs(logs)
        else:
            self._kept += [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the events from a number on, those that are kept last.

        Raises:
            ValueError: if a whole line is no event.
        """
        if self._kept is None:
            yield from self._from_file(log_number_from)
            return
        if self._begun is None:
            others = list(self._from_file(log_number_from))
            self._begun = log_number_from + len(others)
            yield from others
        yield from map(json.loads, self._kept[max(0, log_number_from - self._begun) :])

    def _write(self, lines: list[str]) -> None:
        """Write lines wholly or not at all: to one that a full disk tore the next would be glued.

        Nothing is buffered, so that closing the file writes no rest of them.
        """
        rest = memoryview("".join(lines).encode())
        with self._journal.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)  # a full disk can do that
                raise

    def _from_file(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        number, place = self._read if self._read[0] <= log_number_from else (0, 0)
        with self._journal.open("rb") as file:
            file.seek(place)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # somebody writes it now
                number, place = number + 1, place + len(line)
                if number > log_number_from:
                    yield json.loads(line)
                self._read = (number, place)
