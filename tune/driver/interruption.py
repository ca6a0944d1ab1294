"""The early end of a search, by a signal or a Ray that is lost or silent: the result comes first.

`timeout`, systemd, schedulers and `docker stop` send SIGTERM to all processes of a group or a
container, Ray's too, and SIGKILL some seconds later. A driver that asks a dead Ray to stop a trial
waits for a minute and is then aborted. So nothing is asked of Ray: a thread writes what the journal
has, kills what is left, and ends this process, wherever its main thread hangs.
"""

import contextlib
import logging
import os
import select
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster import cli
from cluster.errors import UserError
from cluster.node.proc import read_stat
from tune.driver.ending import Ending
from tune.driver.family import Family, command_of, is_alive

_LOOK_S = 0.5
_PATIENCE_S = 2.0  # for the main thread to end what it is writing
_OVER = 0
_RAY_SYSTEM = {"raylet", "gcs_server"}
_BUG = 1


class Interruption:
    """A watch over one search: `conclude(ending)` writes its result and returns the exit code.

    `busy` is held by whoever changes the search. `is_silent()` says whether a worker has not
    answered for too long. `ray_folders` are those of a private Ray: they are removed, and its own
    processes are watched. A cluster of others has none.
    """

    def __init__(
        self,
        conclude: Callable[[Ending], int],
        *,
        busy: threading.RLock,
        is_silent: Callable[[], bool],
        ray_folders: Sequence[Path],
    ) -> None:
        self._conclude = conclude
        self._busy = busy
        self._is_silent = is_silent
        self._ray_folders = ray_folders
        self._family = Family(os.getpid(), self._note)
        self._system: dict[int, int] = {}  # pid -> started

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch until the block ends; where it does not end by itself, end the process.

        A lost terminal sends SIGHUP twice; all that come after the first signal are nothing.
        Under nohup none counts.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signals = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signals.append(signal.SIGHUP)
        before = {signum: signal.signal(signum, _heard) for signum in signals}
        # Written by the C handler, at once: a handler in Python waits for the main thread.
        before_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._family.look()
        watch = threading.Thread(
            target=self._watch, args=(reader, set(map(int, signals))), name="end", daemon=True
        )
        watch.start()
        try:
            yield
        finally:
            os.write(writer, bytes([_OVER]))
            watch.join()  # for ever, where it ends the process
            signal.set_wakeup_fd(before_fd)
            for signum, handler in before.items():
                signal.signal(signum, handler)
            os.close(reader)
            os.close(writer)

    def _watch(self, reader: int, signals: set[int]) -> None:
        while True:
            heard = _heard_on(reader)
            if signals.intersection(heard):
                self._end(Ending.INTERRUPTED)
            if _OVER in heard:
                return
            self._family.look()
            if self._is_ray_lost():
                # The same signal may have ended Ray, a moment earlier.
                by_signal = signals.intersection(_heard_on(reader))
                self._end(Ending.INTERRUPTED if by_signal else Ending.RAY_LOST)
            if self._is_silent():
                self._end(Ending.SILENT)

    def _note(self, pid: int, started: int) -> None:
        """Take note of a new process, if it is one of the search's Ray.

        What a trial trains with may have a Ray of its own, which ends with it.
        """
        if not self._ray_folders or command_of(pid) not in _RAY_SYSTEM:
            return
        stat = read_stat(pid)
        if stat is not None and stat.parent == os.getpid():
            self._system[pid] = started

    def _is_ray_lost(self) -> bool:
        return any(not is_alive(pid, started) for pid, started in self._system.items())

    def _end(self, ending: Ending) -> None:
        """Write the result, kill what is left, and end this process."""
        self._busy.acquire(timeout=_PATIENCE_S)
        code = _BUG
        try:
            code = self._conclude(ending)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            code = cli.USER_ERROR
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            self._family.kill()
            for folder in self._ray_folders:
                shutil.rmtree(folder, ignore_errors=True)
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            os._exit(code)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no signal cut off what is written at the end: it takes seconds."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, _heard) for signum in signals}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _heard(signum: int, frame: Any) -> None:
    """Do nothing: the signal was written to the wakeup pipe."""


def _heard_on(reader: int) -> bytes:
    readable, _, _ = select.select([reader], [], [], _LOOK_S)
    return os.read(reader, 64) if readable else b""
