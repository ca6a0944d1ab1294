"""A dead-man: a process on a rented machine that ends the job, and the rent, when its time is up.

It needs no laptop and no network: money must stop also when nobody is left to stop it. A box of a
fleet has one that ends the job, a joined host one that ends Ray.
"""

import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.errors import BoxError
from cluster.node import processes
from cluster.node.atomic import read_json, write_json
from cluster.structure import structure_known

_POLL_S = 1.0
_RETRY_S = 60.0
_START_S = 20.0
_STOP_COMMAND_S = 120.0


@dataclasses.dataclass(frozen=True, slots=True)
class DeadmanFolder:
    """Paths of one dead-man, in a folder that it may share."""

    path: Path

    @property
    def armed(self) -> Path:
        """When it fires, and what it runs then; absent if it is not armed."""
        return self.path / "deadman.json"

    @property
    def process(self) -> Path:
        """Its process."""
        return self.path / "deadman_process.json"

    @property
    def fired(self) -> Path:
        """That it fired, and how its stop command went."""
        return self.path / "deadman_fired.json"

    @property
    def log(self) -> Path:
        """What the stop command printed."""
        return self.path / "deadman.log"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A dead-man's deadline, in Unix time, and the command that it runs then to stop the rent."""

    deadline: float
    stop_command: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A dead-man that has fired: the Unix time, the job that it ended, its command's exit code.

    `stop_exit_code` is `None` until the command has run, and for ever if there is none.
    """

    at: float
    job: str | None
    stop_exit_code: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeadmanStatus:
    """A dead-man that is armed, `left_s` seconds before its deadline.

    `alive` says that its process runs, `stops_instance` that it has a command that stops the rent.
    """

    left_s: float
    alive: bool
    stops_instance: bool
    fired: Fired | None


def arm(
    folder: DeadmanFolder,
    *,
    hours: float,
    stop_command: Sequence[str],
    words: Sequence[str],
    cwd: Path,
) -> Armed:
    """Set the deadline, counted from now, in place of any before; wait until the process runs.

    The process is `python -m WORDS` in `cwd`, and has to call `watch`.

    Raises:
        BoxError: if it does not start.
    """
    folder.fired.unlink(missing_ok=True)
    new = Armed(deadline=time.time() + hours * 3600, stop_command=tuple(stop_command))
    write_json(folder.armed, dataclasses.asdict(new))
    # Always a new process: the one before may run the code of an earlier `up`, or have fired.
    processes.kill(folder.process)
    processes.spawn(words, {}, cwd=cwd, log=folder.log.open("ab"))
    give_up_at = time.monotonic() + _START_S
    while not processes.is_alive(folder.process):
        if time.monotonic() > give_up_at:
            raise BoxError(f"could not start the dead-man; its log is {folder.log}.")
        time.sleep(0.05)
    return new


def disarm(folder: DeadmanFolder) -> None:
    """Remove the deadline; the process sees that and ends."""
    folder.armed.unlink(missing_ok=True)


def watch(folder: DeadmanFolder, *, end: Callable[[], str | None]) -> None:
    """Wait for the deadline, which may be moved meanwhile; then end what runs, and the rent.

    `end` returns the name of what ran. A stop command that fails is tried again for ever: a box
    that goes on costs money.
    """
    processes.record(folder.process, os.getpid())
    while (found := armed(folder)) is not None:
        if time.time() >= found.deadline:
            _fire(folder, found.stop_command, end)
            return
        time.sleep(_POLL_S)


def armed(folder: DeadmanFolder) -> Armed | None:
    """Return the deadline and the stop command, `None` if no dead-man is armed."""
    written = read_json(folder.armed)
    return None if written is None else structure_known(Armed, written)


def status(folder: DeadmanFolder) -> DeadmanStatus | None:
    """Return the state of the dead-man, `None` if none is armed."""
    found = armed(folder)
    if found is None:
        return None
    fired = read_json(folder.fired)
    return DeadmanStatus(
        left_s=found.deadline - time.time(),
        alive=processes.is_alive(folder.process),
        stops_instance=bool(found.stop_command),
        fired=None if fired is None else structure_known(Fired, fired),
    )


def _fire(
    folder: DeadmanFolder, stop_command: Sequence[str], end: Callable[[], str | None]
) -> None:
    fired = Fired(at=time.time(), job=None, stop_exit_code=None)
    _note(folder, fired)
    fired = dataclasses.replace(fired, job=end())
    _note(folder, fired)
    while stop_command:
        fired = dataclasses.replace(fired, stop_exit_code=_run(stop_command))
        _note(folder, fired)
        if fired.stop_exit_code == 0:
            return
        time.sleep(_RETRY_S)


def _note(folder: DeadmanFolder, fired: Fired) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep the rent running
        write_json(folder.fired, dataclasses.asdict(fired))


def _run(command: Sequence[str]) -> int:
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
