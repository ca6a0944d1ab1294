"""The lease of a joined host: a dead-man that ends Ray here, and the rent, when its time is up.

It is a process of its own, `python -m cluster.join.lease`. It outlives the terminal and the host's
place in the cluster, as the rent does.
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import BoxError, JoinError
from cluster.node import deadman, processes, ray_env, source, stop_program
from cluster.node.atomic import read_json
from cluster.node.deadman import DeadmanFolder
from cluster.pages.units import duration

_GRACE_S = 40.0  # a host that is told to leave ends Ray in order


def arm(private: Path, *, hours: float, stop_command: Sequence[str]) -> None:
    """Arm the dead-man to fire in `hours` from now, in place of any deadline before.

    Raises:
        JoinError: if the hours are out of range, the command does not exist, or the process does
            not start.
    """
    if not 0 < hours <= deadman.LONGEST_H:
        limits = f"above 0 and at most {deadman.LONGEST_H}"
        raise JoinError(f"--max-hours must be {limits}, got {hours}.")
    try:
        deadman.arm(
            _folder(private),
            hours=hours,
            stop_command=stop_command,
            words=("cluster.join.lease",),
            cwd=source.ROOT,
        )
    except BoxError as error:
        raise JoinError(str(error)) from error


def disarm(private: Path) -> None:
    """Disarm the dead-man."""
    deadman.disarm(_folder(private))


def describe(private: Path) -> str:
    """Return the sentence that says when the dead-man ends what."""
    folder = _folder(private)
    armed, state = deadman.armed(folder), deadman.status(folder)
    if armed is None or state is None or not state.alive:
        return "No dead-man is armed: nothing ends this host's rent but you (--max-hours)."
    command = stop_program.shown(armed.stop_command)
    then = f"runs {' '.join(command)}" if command else "the rent goes on: no --stop-command"
    if state.left_s <= 0:
        again = ", every minute until this host stops" * bool(command)
        return f"Dead-man fired: ends Ray here, then {then}{again}."
    return f"Dead-man armed: ends Ray here in {duration(state.left_s)}, then {then}."


def record_keeper(private: Path) -> None:
    """Record this process as the keeper of Ray on this host: the dead-man asks it to end first."""
    processes.record(_keeper(_folder(private)), os.getpid())


def marking_variables(private: Path) -> dict[str, str]:
    """Return the variable that marks all of Ray's processes here, to find them at the end."""
    return {processes.MARK: str(private)}


def _folder(private: Path) -> DeadmanFolder:
    folder = DeadmanFolder(private / "join")
    folder.path.mkdir(mode=0o700, exist_ok=True)
    return folder


def _keeper(folder: DeadmanFolder) -> Path:
    return folder.path / "keeper.json"


def _end(folder: DeadmanFolder) -> str | None:
    """End Ray on this host: by its keeper, in order; then kill what is left."""
    keeper = _keeper(folder)
    deadline = time.monotonic() + _GRACE_S
    if processes.is_alive(keeper):
        with contextlib.suppress(ProcessLookupError):
            os.kill(read_json(keeper)["pid"], signal.SIGTERM)
    while processes.is_alive(keeper) and time.monotonic() < deadline:
        time.sleep(0.1)
    processes.kill_all(str(folder.path.parent), keeper)
    processes.kill(keeper)
    return "join"


if __name__ == "__main__":
    _here = _folder(ray_env.private_dir(os.environ))
    deadman.watch(_here, end=lambda: _end(_here))
