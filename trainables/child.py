"""A child process: spawned with a pipe to talk on, read, and killed with all its descendants."""

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.node import regular
from trainables.process_tree import ProcessTree

_EXIT_POLL_S = 0.01
_MAX_LINE_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16
_LONGEST_LOG_BYTES = 1 << 24
_KEPT_BYTES = 1 << 20
"""Bytes that are kept of each end of a log that is too long."""


class Wire:
    """The reading end of the pipe on which a child sends its messages; it never blocks."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._rest = b""
        self._selector = selectors.PollSelector()
        self._selector.register(fd, selectors.EVENT_READ)
        self.is_open = True

    def read(self, wait_s: float) -> list[str]:
        """Return the lines that have come, after waiting for them at most `wait_s`.

        A line that never ends is cut off, and will not decode.
        """
        if not self.is_open:
            time.sleep(wait_s)
            return []
        if not self._selector.select(wait_s):
            return []
        while len(self._rest) <= _MAX_LINE_BYTES and (chunk := self._read_chunk()):
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            lines.append(self._rest)
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        """Close the pipe; the child's next message then fails."""
        self._selector.close()
        os.close(self._fd)

    def _read_chunk(self) -> bytes:
        try:
            chunk = os.read(self._fd, _MAX_LINE_BYTES)
        except BlockingIOError:
            return b""
        self.is_open = chunk != b""
        return chunk


class ChildProcess:
    """A spawned process that leads a session of its own, and everything that it starts."""

    def __init__(self, process: "subprocess.Popen[bytes]", wire: Wire, log: Path, log_start: int):
        self.wire = wire
        self.tree = ProcessTree(process.pid)
        self._process = process
        self._log = log
        self._log_start = log_start

    @property
    def exit_status(self) -> int | None:
        """Exit status, negative for a signal as in `subprocess`; `None` until `end` reaps it."""
        return self._process.returncode

    def has_exited(self) -> bool:
        """Return whether it has exited. It stays a zombie, so its pid is not reused."""
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def wait(self, patience_s: float) -> None:
        """Wait until it has exited by itself, at most `patience_s` seconds."""
        deadline = time.monotonic() + patience_s
        while not self.has_exited() and time.monotonic() < deadline:
            time.sleep(_EXIT_POLL_S)

    def end(self) -> bool:
        """Kill what is left of it and reap it; return whether no process of it is left."""
        self.wire.close()
        is_gone = self.tree.kill()
        self.bound_log()
        if self.has_exited():
            self._process.wait()
        return is_gone

    def bound_log(self) -> None:
        """Keep the log's beginning and end alone once it is long: a loud loop would fill the disk.

        The child appends, so it goes on at the new end. What it writes just now may be lost. A log
        that the child removed, or a disk that is full, is left as it is.
        """
        with contextlib.suppress(OSError):
            self._bound_log()

    def _bound_log(self) -> None:
        if self._log.stat().st_size - self._log_start <= _LONGEST_LOG_BYTES:
            return
        with self._log.open("r+b") as log:
            size = log.seek(-_KEPT_BYTES, os.SEEK_END) + _KEPT_BYTES
            tail = log.read(_KEPT_BYTES)  # not to the end: a loud child writes as fast as we read
            log.truncate(self._log_start + _KEPT_BYTES)
        left_out = size - self._log_start - 2 * _KEPT_BYTES
        with self._log.open("ab") as log:
            log.write(f"\n[... a log is bounded: {left_out} bytes are left out here]\n".encode())
            log.write(tail)

    def log_tail(self) -> str:
        """Return the end of what it wrote to its log."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                return log.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:  # the child removed it
            return ""


def spawn_child(
    command: Sequence[str],
    request: Mapping[str, Any],
    environment: Mapping[str, str],
    log: Path,
    *,
    folder: Path | None = None,
) -> ChildProcess:
    """Start `command` with the request as JSON on stdin, and the wire's number as an argument.

    It runs in `folder`, or in ours. Its output is appended to `log`. The request is a file and not
    a pipe, so that a child that never reads cannot block its parent.

    Raises:
        BlockingIOError: if a limit leaves no room for another process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    read_fd, write_fd = os.pipe()
    wire = Wire(read_fd)
    try:
        log_fd = regular.open_own(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with (
            os.fdopen(os.memfd_create("request"), "w+b") as stdin,
            os.fdopen(log_fd, "ab") as output,
        ):
            stdin.write(json.dumps(request).encode())
            stdin.seek(0)
            log_start = output.tell()
            process = subprocess.Popen(
                [
                    *command,
                    f"--wire-fd={write_fd}",
                    f"--parent-pid={os.getpid()}",
                    f"--spawned-at={time.monotonic()}",
                ],
                stdin=stdin,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=folder,
                pass_fds=(write_fd,),
                start_new_session=True,
            )
    except BaseException:
        wire.close()
        raise
    finally:
        os.close(write_fd)
    return ChildProcess(process, wire, log, log_start)
