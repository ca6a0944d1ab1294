"""A running command: started in a folder of its own, its lines as they arrive, and its end."""

import collections
import contextlib
import errno
import functools
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainables.command.readings import Lines
from trainables.serving import die_with_parent
from trainables.workload import WorkloadInputError

_POLL_S = 0.2
_REST_S = 0.005
"""A hundredth of a block: the most that a line's moment may be late."""
_CHUNK_BYTES = 2**16
_GRACE_S = 2.0
"""Seconds to tidy up (shared memory, workers) between SIGTERM and SIGKILL."""

_NO_ROOM = (errno.EAGAIN, errno.ENOMEM)
"""What a limit of threads or of memory says; another configuration may fit."""

_LOG_BYTES = 4 * 2**20
_TAIL_CHUNKS = 64


class CommandEnded(Exception):  # noqa: N818  # an event, and no error of ours
    """The command ended by itself; `status` is as `subprocess` has it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class RunningCommand(contextlib.AbstractContextManager["RunningCommand"]):
    """A command from its start, on entering, to its end, on leaving.

    Args:
        arguments: program and arguments; no shell reads them.
        folder: where it runs.
        environment: all of its variables.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._arguments = arguments
        self._folder = folder
        self._environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self._log = _BoundedLog()

    def __enter__(self) -> "RunningCommand":
        """Start it.

        Raises:
            WorkloadInputError: if there is no such program.
            OSError: if there is no room for another process.
        """
        try:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Nobody else would end it after a SIGKILL of this process. The kernel sends it when
                # the thread that forks is gone: that is the main one here.
                preexec_fn=functools.partial(die_with_parent, os.getpid()),
            )
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            raise WorkloadInputError(
                f"{self._arguments[0]} cannot be started: {error.strerror}. Write a program and "
                "its arguments behind --, as in: -- python train.py"
            ) from error
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        return self

    def lines(self) -> Iterator[tuple[str | None, float]]:
        """Yield each line with the moment it came, and `None` with the moment between them.

        Moments are on the monotonic clock.

        Raises:
            CommandEnded: when it has ended and all that it wrote was read.
        """
        lines = Lines()
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                selector.select(_POLL_S)
                has_ended = self._process.poll() is not None  # asked before the last is read
                data, now = self._read(), time.monotonic()
                if data:
                    self._log.write(data)
                    yield from ((line, now) for line in lines.feed(data))
                    if len(data) < _CHUNK_BYTES:  # no more is waiting: a wake-up for each line
                        time.sleep(_REST_S)  # of a chatty command would cost it its time
                elif has_ended:
                    if rest := lines.rest():
                        yield rest, now
                    raise CommandEnded(self._process.wait())
                elif data == b"":  # it closed its output, and may live on
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(_POLL_S)
                    now = time.monotonic()
                yield None, now

    def _read(self) -> bytes | None:
        """Return what was written since, `None` for nothing, and nothing at all at the end."""
        try:
            return os.read(self._pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return None

    def __exit__(self, *_: object) -> None:
        """End it by SIGTERM. What is left of its tree is killed by whoever watches this process."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        self._log.close()


class _BoundedLog:
    """The trial's log, on stdout: the first megabytes as they come, and the end."""

    def __init__(self) -> None:
        self._room = _LOG_BYTES
        self._num_dropped = 0
        self._tail = collections.deque[bytes](maxlen=_TAIL_CHUNKS)

    def write(self, data: bytes) -> None:
        os.write(sys.stdout.fileno(), data[: self._room])
        self._room -= min(self._room, len(data))
        if not self._room:
            self._num_dropped += len(data)
            self._tail.append(data)

    def close(self) -> None:
        if self._tail:
            head = f"\n[... a log is bounded: of {self._num_dropped} more bytes only the end:]\n"
            os.write(sys.stdout.fileno(), head.encode() + b"".join(self._tail))
            self._tail.clear()


def end_as(status: int) -> None:
    """End this process in the way in which another one did, by `status` as of `subprocess`."""
    sys.stdout.flush()
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
        time.sleep(_GRACE_S)  # for a signal that ends nothing
    os._exit(status if status > 0 else 1)
