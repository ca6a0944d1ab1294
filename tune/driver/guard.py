"""The guard of a search: a process that outlives the driver, and concludes where that dies.

Ray's C++ aborts the driver where a thread is refused, and the kernel ends it where memory runs out:
no code of the driver runs then. Every trial is in the journal, so another process can say what was
found. It is forked before Ray is started, so it has all that the conclusion needs, and one thread.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.errors import UserError
from tune.driver.family import Family

_OVER = b"over\n"
_LOOK_S = 1.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Guard:
    """The driver's end of the pipe to its guard."""

    def __init__(self, writer: int) -> None:
        self._writer = writer

    def remember(self, ray_folder: Path) -> None:
        """Have this folder removed if the driver dies."""
        self._tell(os.fsencode(ray_folder) + b"\n")

    def dismiss(self) -> None:
        """Say that the driver has concluded by itself."""
        self._tell(_OVER)

    def _tell(self, words: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was killed, too
            os.write(self._writer, words)


@contextlib.contextmanager
def guarded(conclude: Callable[[], object]) -> Iterator[Guard]:
    """Yield the guard of this process, which calls `conclude` in its own if this one dies."""
    reader, writer = os.pipe()
    driver = Family(os.getpid())
    # Held back: what a signal raises within a fork's own hooks is lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        _stand_guard(driver, reader, conclude)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(reader)
    guard = Guard(writer)
    try:
        yield guard
    finally:
        guard.dismiss()
        os.close(writer)
        os.waitpid(pid, 0)


def _stand_guard(driver: Family, reader: int, conclude: Callable[[], object]) -> None:
    """Wait for the driver's last word, or for its death; never return."""
    try:
        for signum in _ENDS:  # they are for the driver
            signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        told = _heard(reader, driver.look)
        if _OVER not in told:
            driver.kill(spare=os.getpid())
            for line in told:
                shutil.rmtree(os.fsdecode(line[:-1]), ignore_errors=True)
            conclude()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(0)


def _heard(reader: int, look: Callable[[], None]) -> list[bytes]:
    """Return the lines that the driver wrote until its end; `look` at it meanwhile."""
    said = b""
    while True:
        readable, _, _ = select.select([reader], [], [], _LOOK_S)
        if readable:
            words = os.read(reader, 4096)
            said += words
            if not words:
                return said.splitlines(keepends=True)
        look()
