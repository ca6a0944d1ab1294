"""Standard output without a reader: `... | head` has ended, or the terminal is gone."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

UNREAD = 141
"""The exit code that a shell gives a program that SIGPIPE ended."""


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
