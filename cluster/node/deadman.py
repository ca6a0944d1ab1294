"""A dead-man: a process on a rented machine that ends the job, and the rent, at a deadline.

It needs neither the laptop nor a network, so the rent also ends when nobody is left to end it. On
a box of a fleet it ends the job, on a joined host Ray.
"""

import contextlib
import dataclasses
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from cluster.errors import BoxError
from cluster.node import processes, stop_program
from cluster.node.atomic import read_json, write_json
from cluster.structure import structure_known

LONGEST_H = 24 * 30
"""The most hours to a deadline."""

STOPPING = "its dead-man has fired and goes on to stop it: set a new one by `up --max-hours` first."
"""The reason for which a box starts no job then: it would end with the box, and so its results."""

_POLL_S = 1.0
_RETRY_S = 60.0
_START_S = 20.0


class LateError(BoxError):
    """A dead-man's process that takes long to start, and may still come."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeadmanFolder:
    """Paths of one dead-man, in a folder that it may share."""

    path: Path

    @property
    def armed(self) -> Path:
        """Deadline and stop command, an `Armed`; absent if it is not armed."""
        return self.path / "deadman.json"

    @property
    def process(self) -> Path:
        """Process of the dead-man."""
        return self.path / "deadman_process.json"

    @property
    def fired(self) -> Path:
        """Record of its firing, a `Fired`; absent until then."""
        return self.path / "deadman_fired.json"

    @property
    def log(self) -> Path:
        """Output of the stop command."""
        return self.path / "deadman.log"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A dead-man's deadline, and the command that it runs then to stop the rent.

    `deadline` is in Unix time, as an earlier version's dead-man reads it. `since_boot_s` counts, if
    it is there: a clock that is set while it waits, as after a boot, would move the other by hours.
    """

    deadline: float
    stop_command: tuple[str, ...]
    since_boot_s: float | None = None

    @classmethod
    def to_fire_in(cls, left_s: float, stop_command: Sequence[str]) -> "Armed":
        """Return a deadline in so many seconds from now."""
        return cls(
            deadline=time.time() + left_s,
            stop_command=tuple(stop_command),
            since_boot_s=_since_boot_s() + left_s,
        )

    @property
    def left_s(self) -> float:
        """Seconds to the deadline."""
        if self.since_boot_s is None:
            return self.deadline - time.time()
        return self.since_boot_s - _since_boot_s()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A dead-man that has fired: the Unix time, the job that it ended, its command's exit code.

    `stop_exit_code` is `None` until the command has run, and for ever if there is none. It is that
    of the latest run, and 0 is no proof: `vastai` prints that it failed, and exits with 0.
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

    @property
    def is_stopping(self) -> bool:
        """Tell whether it has fired and goes on: the machine may stop at any moment."""
        # One that ended a job alone, or with a machine that was started again, runs no more.
        return self.fired is not None and self.alive and self.stops_instance


def arm(
    folder: DeadmanFolder,
    *,
    hours: float,
    stop_command: Sequence[str],
    words: Sequence[str],
    cwd: Path,
) -> Armed:
    """Set the deadline in `hours` from now, in place of any before; start the process.

    The process is `python -m WORDS` in `cwd`, and has to call `watch`. Return once it runs.

    Raises:
        BoxError: if the stop command's program is not on this machine, or the process ends;
            a `LateError` if it has not come yet.
        OSError: if nothing can be written.
    """
    stop_program.require(stop_command)
    new = Armed.to_fire_in(hours * 3600, stop_command)
    write_json(folder.armed, dataclasses.asdict(new))
    # Always a new process: the one before may run the code of an earlier `up`, or have fired.
    processes.kill(folder.process)
    folder.fired.unlink(missing_ok=True)
    pid = processes.spawn(words, {}, cwd=cwd, log=folder.log.open("ab"))
    give_up_at = time.monotonic() + _START_S
    while not processes.is_alive(folder.process):
        problem = f"could not start the dead-man; its log is {folder.log}."
        if processes.has_ended(pid):
            raise BoxError(problem)
        if time.monotonic() > give_up_at:
            raise LateError(problem)
        time.sleep(0.05)
    return new


def fire(
    folder: DeadmanFolder, *, stop_command: Sequence[str], words: Sequence[str], cwd: Path
) -> None:
    """Start a dead-man that fires at once, from memory alone: a full disk takes no files.

    The process is `python -m WORDS` in `cwd`, and has to call `fire_now` with the `Armed` that it
    finds on its stdin, in plain values. No file tells of it: what is armed later ends it.

    Raises:
        BoxError: if the stop command's program is not on this machine.
    """
    stop_program.require(stop_command)
    now = Armed.to_fire_in(0.0, stop_command)
    processes.spawn(words, dataclasses.asdict(now), cwd=cwd, log=_log(folder))


def disarm(folder: DeadmanFolder) -> None:
    """Remove the deadline; the process then ends by itself."""
    folder.armed.unlink(missing_ok=True)


def watch(folder: DeadmanFolder, *, end: Callable[[], str | None]) -> None:
    """Wait for the deadline, which may be moved meanwhile; then call `end` and end the rent.

    `end` returns the name of the job that it ended. The stop command is repeated every minute,
    whatever its exit code, until the machine stops or the dead-man is disarmed, or armed anew: that
    this process lives proves that the rent goes on.
    """
    processes.record(folder.process, os.getpid())
    found = armed(folder)
    while found is not None and found.left_s > 0:
        time.sleep(_POLL_S)
        found = _read_again(folder, found)
    if found is not None:
        known = found
        _fire(folder, known, end, is_armed=lambda: _read_again(folder, known) == known)


def fire_now(
    folder: DeadmanFolder, order: Mapping[str, Any], *, end: Callable[[], str | None]
) -> None:
    """Call `end` and end the rent by the order that `fire` gave, until one is armed or disarmed."""
    before = _read_again(folder, None)
    _fire(
        folder,
        structure_known(Armed, order),
        end,
        is_armed=lambda: _read_again(folder, before) == before,
    )


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
        left_s=found.left_s,
        alive=processes.is_alive(folder.process),
        stops_instance=bool(found.stop_command),
        fired=None if fired is None else structure_known(Fired, fired),
    )


def _since_boot_s() -> float:
    """Return the seconds since the machine booted, by a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _read_again(folder: DeadmanFolder, known: Armed | None) -> Armed | None:
    """Return what is armed now; `known` where that cannot be read, as without file descriptors."""
    try:
        return armed(folder)
    except OSError:
        return known


def _log(folder: DeadmanFolder) -> IO[bytes]:
    try:
        return folder.log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _fire(
    folder: DeadmanFolder,
    found: Armed,
    end: Callable[[], str | None],
    *,
    is_armed: Callable[[], bool],
) -> None:
    fired = Fired(at=time.time(), job=None, stop_exit_code=None)
    _note(folder, fired)
    try:
        fired = dataclasses.replace(fired, job=end())
    except Exception:  # noqa: BLE001  # whatever is wrong with the job, the rent has to end
        with contextlib.suppress(OSError):  # its log is on a disk that may be full
            traceback.print_exc()
    _note(folder, fired)
    while found.stop_command and is_armed():
        fired = dataclasses.replace(fired, stop_exit_code=stop_program.run(found.stop_command))
        _note(folder, fired)
        time.sleep(_RETRY_S)


def _note(folder: DeadmanFolder, fired: Fired) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep the rent running
        write_json(folder.fired, dataclasses.asdict(fired))
