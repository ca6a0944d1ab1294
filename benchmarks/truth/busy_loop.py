"""Busy loops beside a search: programs that take a part of a CPU, by a schedule."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

_PULSE_S = 0.1
_LOOP = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # it ends with this process

Schedule = Callable[[float, float | None], float]
"""`share(at_s, finals_at_s)`: the part of a CPU that a neighbour takes, by seconds of the search.

`finals_at_s` is when the finals began, `None` before that.
"""

BUSY_LOOPS: Mapping[str, Schedule] = {
    "none": lambda at_s, finals_at_s: 0.0,
    "constant": lambda at_s, finals_at_s: 1.0,
    "bursts, 20 s on, 20 s off": lambda at_s, finals_at_s: 1.0 if at_s % 40.0 >= 20.0 else 0.0,
    "from the finals on": lambda at_s, finals_at_s: 0.0 if finals_at_s is None else 1.0,
    "a drift, 0 to 1 and back in 2 min": lambda at_s, finals_at_s: (
        0.5 - 0.5 * math.cos(2 * math.pi * at_s / 120.0)
    ),
}
"""Kinds of neighbours: one busy loop each."""


class BusyLoop(contextlib.AbstractContextManager["BusyLoop"]):
    """A busy loop that follows a schedule, from entering to leaving."""

    def __init__(self, share: Schedule) -> None:
        self._share = share
        self._finals_at_s: float | None = None
        self._started = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def finals_begin(self) -> None:
        """Take note that the finals begin now."""
        if self._finals_at_s is None:
            self._finals_at_s = time.monotonic() - self._started

    def __enter__(self) -> "BusyLoop":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        with subprocess.Popen([sys.executable, "-c", _LOOP]) as process:
            try:
                while not self._over.is_set():
                    share = self._share(time.monotonic() - self._started, self._finals_at_s)
                    for is_on, part in ((True, share), (False, 1.0 - share)):
                        if part > 0.0:
                            process.send_signal(signal.SIGCONT if is_on else signal.SIGSTOP)
                            self._over.wait(part * _PULSE_S)
            finally:
                process.kill()
