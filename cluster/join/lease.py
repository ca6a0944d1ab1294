"""The lease of a joined host: a dead-man that ends Ray here, and the rent, when its time is up.

A process apart, `python -m cluster.join.lease`: it outlives the terminal and the host's place in
the cluster, for the rent does so, too.
"""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import BoxError, JoinError
from cluster.node import deadman, processes, ray_env, source
from cluster.node.atomic import read_json
from cluster.node.deadman import DeadmanFolder
from cluster.pages.units import duration

_GRACE_S = 40.0  # a host that is told to leave ends Ray in order
_LONGEST_H = 24 * 30


def arm(private: Path, *, hours: float, stop_command: Sequence[str]) -> None:
    """Set the hour, counted from now, in place of any set before.

    Raises:
        JoinError: if it cannot be, or there is no such command.
    """
    if not 0 < hours <= _LONGEST_H:
        raise JoinError(f"--max-hours must be above 0 and at most {_LONGEST_H}, got {hours}.")
    if stop_command and shutil.which(stop_command[0]) is None:
        raise JoinError(f"--stop-command: there is no program {stop_command[0]!r} on this host.")
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
    """Take the hour away."""
    deadman.disarm(_folder(private))


def told(private: Path) -> str:
    """When it ends what, in words for a person."""
    folder = _folder(private)
    armed, state = deadman.armed(folder), deadman.status(folder)
    if armed is None or state is None or not state.alive:
        return "No dead-man is armed: nothing ends this host's rent but you (--max-hours)."
    command = armed.stop_command
    then = f"runs {' '.join(command)}" if command else "the rent goes on: no --stop-command"
    return f"Dead-man armed: ends Ray here in {duration(state.left_s)}, then {then}."


def record(private: Path) -> None:
    """Write down that this process keeps Ray on this host."""
    processes.record(_keeper(_folder(private)), os.getpid())


def mark(private: Path) -> dict[str, str]:
    """A variable for the environment of all that Ray runs here: by it they are found at the end."""
    return {processes.MARK: str(private)}


def _folder(private: Path) -> DeadmanFolder:
    folder = DeadmanFolder(private / "join")
    folder.path.mkdir(mode=0o700, exist_ok=True)
    return folder


def _keeper(folder: DeadmanFolder) -> Path:
    return folder.path / "keeper.json"


def _end(folder: DeadmanFolder) -> str | None:
    """End Ray on this host: its keeper does it in order, then whatever is left is killed."""
    keeper = _keeper(folder)
    deadline = time.monotonic() + _GRACE_S
    if processes.is_alive(keeper):
        os.kill(read_json(keeper)["pid"], signal.SIGTERM)
    while processes.is_alive(keeper) and time.monotonic() < deadline:
        time.sleep(0.1)
    processes.kill_all(str(folder.path.parent), keeper)
    processes.kill(keeper)
    return "join"


if __name__ == "__main__":
    _here = _folder(ray_env.private_dir(os.environ))
    deadman.watch(_here, end=lambda: _end(_here))
