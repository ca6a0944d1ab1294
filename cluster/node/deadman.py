"""The dead-man: a process on the box that ends the job, and the rent, when its hour has come.

It needs no laptop and no network: money must stop also when nobody is left to stop it. Joined hosts
have one, too, that ends Ray there: of `BoxFolder` it only needs the dead-man's own files.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.box.folder import BoxError, BoxFolder, read_json, write_json
from cluster.node import processes

_POLL_S = 1.0
_RETRY_S = 60.0
_STOP_COMMAND_S = 120.0


def arm(
    box: BoxFolder,
    *,
    hours: float,
    stop_command: list[str],
    words: Sequence[str] = ("cluster.box", "deadman"),
    cwd: Path | None = None,
) -> dict[str, Any]:
    """Set the hour, counted from now, in place of any set before; see that the process runs.

    It is `python -m WORDS`, which calls `watch`.
    """
    box.deadman_fired.unlink(missing_ok=True)
    armed = {"deadline": time.time() + hours * 3600, "stop_command": stop_command}
    write_json(box.deadman, armed)
    # Always a new process: the one before may run the code of an earlier `up`, or have fired.
    processes.kill(box.deadman_process)
    processes.spawn(words, {}, cwd=cwd or box.code, log=box.deadman_log.open("ab"))
    deadline = time.monotonic() + 20.0
    while not processes.is_alive(box.deadman_process):
        if time.monotonic() > deadline:
            raise BoxError(f"could not start the dead-man; its log is {box.deadman_log}.")
        time.sleep(0.05)
    return armed


def disarm(box: BoxFolder) -> None:
    """Take the hour away; the process sees that and ends."""
    box.deadman.unlink(missing_ok=True)


def watch(box: BoxFolder, *, end: Callable[[], str | None]) -> None:
    """Wait for the hour, which may be moved meanwhile; then end what runs, and the rent.

    `end` returns the name of what ran. A stop command that fails is tried again for ever: a box
    that goes on costs money.
    """
    processes.record(box.deadman_process, os.getpid())
    while (armed := read_json(box.deadman)) is not None:
        if time.time() >= armed["deadline"]:
            _fire(box, armed, end)
            return
        time.sleep(_POLL_S)


def status(box: BoxFolder) -> dict[str, Any] | None:
    """When it fires and whether it is alive to do so; `None` if it was never armed."""
    armed = read_json(box.deadman)
    if armed is None:
        return None
    return {
        "left_s": armed["deadline"] - time.time(),
        "alive": processes.is_alive(box.deadman_process),
        "stops_instance": bool(armed["stop_command"]),
        "fired": read_json(box.deadman_fired),
    }


def _fire(box: BoxFolder, armed: dict[str, Any], end: Callable[[], str | None]) -> None:
    fired: dict[str, Any] = {"at": time.time(), "job": None, "stop_exit_code": None}
    _note(box, fired)
    fired["job"] = end()
    _note(box, fired)
    while armed["stop_command"]:
        fired["stop_exit_code"] = _run(armed["stop_command"])
        _note(box, fired)
        if fired["stop_exit_code"] == 0:
            return
        time.sleep(_RETRY_S)


def _note(box: BoxFolder, fired: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep the rent running
        write_json(box.deadman_fired, fired)


def _run(command: list[str]) -> int:
    """Run the provider's stop command; what it prints goes to the dead-man's log.

    The container's own variables (RUNPOD_POD_ID, CONTAINER_ID, ...) are pid 1's; a login by SSH
    does not have them, and the providers' tools on the box look for them.
    """
    try:
        done = subprocess.run(
            command,
            env={**_environ(Path("/proc/1/environ")), **os.environ},
            cwd="/",  # the code's folder may have been replaced since
            stdin=subprocess.DEVNULL,
            timeout=_STOP_COMMAND_S,
            check=False,
        )
    except FileNotFoundError:
        return 127
    except PermissionError:
        return 126
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def _environ(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError):
        pairs = path.read_bytes().decode(errors="surrogateescape").split("\0")
        return {name: value for name, eq, value in (pair.partition("=") for pair in pairs) if eq}
    return {}
