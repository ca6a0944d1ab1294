"""Standard streams as a host leaves them: closed, without a reader, not in UTF-8."""

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

UNREAD = 141
"""The exit code that a shell gives a program that SIGPIPE ended."""


def settle_streams() -> None:
    """Make all three standard streams usable; call it before anything is opened or printed.

    A stream that was closed (`>&-`, a daemon) leads to /dev/null: else the next file that is opened
    takes its number, and gets what libraries print. What a stream cannot encode becomes `?`.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _open_nowhere(descriptor)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _open_nowhere(descriptor: int) -> None:
    """Open /dev/null as this descriptor, for this process and all that it starts."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    if nowhere == descriptor:
        os.set_inheritable(nowhere, True)
    else:
        os.close(nowhere)


@contextlib.contextmanager
def until_unread() -> Iterator[None]:
    """Exit with `UNREAD` and without a traceback once stdout has no reader any more."""
    try:
        try:
            yield
        finally:
            print(end="", flush=True)  # which does not mind a stdout that was never there
    except BrokenPipeError:
        if not _is_unread(sys.stdout):
            raise  # of another pipe
        _discard(sys.stdout)
        sys.exit(UNREAD)


def lasting(stream: TextIO) -> TextIO:
    """Return a stream that drops what it can no longer write, so that the program goes on."""
    return cast(TextIO, _LastingStream(stream))


class _LastingStream:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _discard(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_unread(stream: TextIO) -> bool:
    """Return whether the stream is a pipe whose reader has left."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(stream: TextIO) -> None:
    """Send the stream to /dev/null, with its buffer: flushing that at exit would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
