"""A folder of its own for what a trial leaves among the temporary files.

A Ray that a training starts leaves its session there, Stable-Baselines3 a folder of logs, others
whatever was open when they were killed, as trials mostly are. So each trial has a TMPDIR that is
removed with all that is in it. The rest of /tmp is there as ever.
"""

import contextlib
import getpass
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster.node import ray_env
from search_spaces.config import variables_of
from trainables.command.options import FACTORY
from trainables.measurement import TrialRequest

_VARIABLES = ("TMPDIR", "TEMP", "TMP")  # as Python looks for them
_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"
_RAY_ADDRESS = Path("ray", "ray_current_cluster")


@contextlib.contextmanager
def own_temporary_files(
    request: TrialRequest, environment: Mapping[str, str], folder: Path
) -> Iterator[Mapping[str, str]]:
    """Yield a trial's environment in which `folder` is its TMPDIR; remove it when it is over.

    It is the parent's: a trial that is killed removes nothing. The environment stays as it is where
    a person gives this training a TMPDIR, where `folder` is on another disk than the temporary
    files that it replaces, for all that is known, or where its path is too long for the sockets of
    a Ray in it.

    Raises:
        OSError: if the folder cannot be made.
    """
    shared = _shared(environment)
    fits = len(os.fsencode(folder)) <= ray_env.LONGEST_TMPDIR
    if _is_given(request) or not folder.is_relative_to(shared) or not fits:
        yield environment
        return
    shutil.rmtree(folder, ignore_errors=True)  # of a trial whose worker was killed
    folder.mkdir(mode=0o700, parents=True)
    try:
        with contextlib.suppress(OSError):  # mostly there is none
            _copy(shared / _RAY_ADDRESS, folder / _RAY_ADDRESS)
        own = {"TMPDIR": str(folder)}
        if not environment.get(_INDUCTOR):
            own[_INDUCTOR] = str(shared / f"torchinductor_{_user()}")
        yield {**environment, **own}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shared(environment: Mapping[str, str]) -> Path:
    """Return where programs of this environment have their temporary files."""
    return Path(next((environment[n] for n in _VARIABLES if environment.get(n)), "/tmp"))


def _is_given(request: TrialRequest) -> bool:
    """Return whether the training has a variable for its temporary files, of the command's own."""
    given = set(variables_of(request.config))
    if request.workload == FACTORY:
        given |= set(request.options.get("variables", {}))
    return not given.isdisjoint(_VARIABLES)


def _copy(source: Path, target: Path) -> None:
    """Copy a small file: what a training starts may write another in its place."""
    text = source.read_bytes()
    target.parent.mkdir()
    target.write_bytes(text)


def _user() -> str:
    """Return the name that torch gives to its cache of compiled kernels, so that it stays warm."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return f"uid_{os.getuid()}"
