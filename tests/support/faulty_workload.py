"""A training loop with one fault, which the options choose: `fault=NAME`, `when=NUM_ENVS`.

Without a `when` every configuration has it. It strikes in the first update. `update_s`, `steps` and
`health` are those of the loop that has it. A space with the axis `fault` has one in each
configuration, or `none`. Each loop leaves a temporary file.
"""

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def _wait_for_ever() -> None:
    threading.Event().wait()


def _write_to_the_wire(content: bytes) -> None:
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            if number > 2 and os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                os.write(number, content)


def _flood() -> None:
    while True:
        os.write(2, b"x" * 65535 + b"\n")


def _leave_a_daemon() -> None:
    """Fork twice, so that the sleeper has no parent here."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, _SLEEPER)
        os._exit(0)
    os.wait()


def _leave_a_daemon_and_die() -> None:
    _leave_a_daemon()
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(options: Mapping[str, Any]) -> None:
    mark = Path(options["mark"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _fill(options: Mapping[str, Any]) -> None:
    with Path(options["file"]).open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()


def _remove_logs() -> None:
    for log in Path("out/trials").glob("*.log"):
        log.unlink()


def _eat_memory() -> None:
    held = []
    while True:
        held.append(bytearray(b"1") * (16 << 20))
        time.sleep(0.05)


def _raise_unprintable() -> None:
    raise RuntimeError("\udcff bad \x00 \x1b[31m red </script><script>alert(1)</script>")


FAULTS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "none": lambda _: None,
    "abort": lambda _: os.abort(),
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": lambda _: _wait_for_ever(),
    "flood": lambda _: _flood(),
    "garbage": lambda _: _write_to_the_wire(b"\x00\xff garbage \n\n{}\n"),
    "exit": lambda _: os._exit(0),
    "child": lambda _: subprocess.Popen(_SLEEPER, start_new_session=True),
    "daemon": lambda _: _leave_a_daemon(),
    "daemon-and-die": lambda _: _leave_a_daemon_and_die(),
    "die-once": _die_once,
    "die": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "kill-worker": lambda _: os.kill(os.getppid(), signal.SIGKILL),
    "segfault": lambda _: ctypes.string_at(0),
    "fill": _fill,
    "eat-memory": lambda _: _eat_memory(),
    "unprintable": lambda _: _raise_unprintable(),
    "remove-logs": lambda _: _remove_logs(),
    "close-all": lambda _: os.closerange(0, 300),
}

HEALTH: Mapping[str, Any] = {
    "many": {f"m{number}": 1.0 for number in range(100_000)},
    "long": {"x" * 2_000_000: 1.0},
    "text": {"loss": "abc"},
    "numbered": {1: 1.0},
    "surrogate": {"\udcff<script>": 1.0},
    "nothing": None,
    "nan": {"loss": math.nan},
}


class FaultyLoop:
    """A loop that sleeps for what training would take."""

    def __init__(self, config: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self._options = options
        self._is_faulty = options.get("when", config["num_envs"]) == config["num_envs"]
        self._fault = str(config.get("fault", options.get("fault", "none")))
        self._update_s = float(options.get("update_s", 0.005) if self._is_faulty else 0.005)
        self.env_steps_per_update = options.get("steps", config["num_envs"])

    def run(self, num_updates: int) -> None:
        """Train, and have the fault."""
        if self._is_faulty:
            self._is_faulty = False
            FAULTS[self._fault](self._options)
        time.sleep(num_updates * self._update_s)

    def health(self) -> Any:
        """The metrics that the option `health` names."""
        return HEALTH.get(str(self._options.get("health")), {})


def factory(config: Mapping[str, Any], options: Mapping[str, Any]) -> FaultyLoop:
    """Build the loop."""
    tempfile.mkstemp(prefix="left-")
    return FaultyLoop(config, options)
