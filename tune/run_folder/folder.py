"""The folder of one search: its place, its lock, and the paths in it."""

import contextlib
import dataclasses
import datetime
import glob
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.errors import UserError
from cluster.node import lock, ray_env, regular
from cluster.node.proc import read_stat

RUNS = Path("runs")
TUNE_FOLDER = "ray"
"""The name of Ray Tune's folder in a search's own."""

_TUNE_STATE = ("experiment_state-*", "search_gen_state-*", "tuner.pkl")
_GUARD_S, _POLL_S = 20.0, 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths below one search's folder."""

    path: Path

    @property
    def journal(self) -> Path:
        """Optuna's journal, which has every trial."""
        return self.path / "journal.log"

    @property
    def has_search(self) -> bool:
        """Return whether a search began here; an empty journal has none."""
        if not os.path.lexists(self.journal):
            return False
        found = os.lstat(self.journal)
        return not stat.S_ISREG(found.st_mode) or found.st_size > 0

    @property
    def run_log(self) -> Path:
        """The driver's log."""
        return self.path / "run.log"

    @property
    def record(self) -> Path:
        """The record of what was asked for and how it ended; it and the journal make the report."""
        return self.path / "search.json"

    @property
    def report(self) -> Path:
        """The report, for a browser."""
        return self.path / "report.html"

    def forget_tune_state(self) -> None:
        """Remove what Ray Tune would resume from: whole orders, with what is secret in them.

        A search resumes from its journal.
        """
        for pattern in _TUNE_STATE:
            for path in (self.path / TUNE_FOLDER).glob(pattern):
                path.unlink(missing_ok=True)

    def trial_log(self, number: int, stage: str) -> Path:
        """Return the path of one trial's stdout and stderr."""
        return self.path / "trials" / f"{number:03d}-{stage}.log"


def new_path(name: str, now: datetime.datetime) -> Path:
    """Return the path of a new search's folder where the person names none."""
    return RUNS / f"{name}-{now:%Y%m%d-%H%M%S}"


def known_paths(name: str) -> list[Path]:
    """Return the folders of searches of this name where the person names none, the newest first.

    Names may begin alike: the stamp must follow at once.
    """
    stamp = f"{8 * '[0-9]'}-{6 * '[0-9]'}"
    return sorted(RUNS.glob(f"{glob.escape(name)}-{stamp}"), reverse=True)


def nothing_to_resume(place: Path) -> UserError:
    """Return the error that there is no search in `place`."""
    return UserError(f"--resume found no search in {place}; leave it out.")


def locate(name: str, *, out: Path | None, resume: bool, now: datetime.datetime) -> RunFolder:
    """Return the folder of a new search, or find the one to resume.

    Raises:
        UserError: if there is nothing to resume, or a new search would use an old one's folder.
    """
    require_utf8(out or RUNS, option="--out")
    if not resume:
        folder = RunFolder(out or new_path(name, now))
        if folder.has_search:
            raise UserError(
                f"{folder.path} holds a search already; go on with it by --resume, "
                "or choose another --out."
            )
        return folder
    if out is not None:
        candidates = [RunFolder(out)]
    else:
        candidates = [RunFolder(path) for path in known_paths(name)]
    for folder in candidates:
        if folder.has_search:
            return folder
    raise nothing_to_resume(out or RUNS / f"{name}-*")


def require_utf8(path: Path, *, option: str) -> None:
    """Check that Ray, which knows no other names, can work in the folder `path`.

    Raises:
        UserError: naming the option.
    """
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{option} is not UTF-8, which Ray needs: {name!a}; choose another folder."
        ) from error


def require_writable(path: Path, *, option: str) -> None:
    """Check before the search that the folder `path` can be written or made.

    Raises:
        UserError: naming the option.
    """
    require_utf8(path, option=option)
    place = path.absolute()
    # A link to what is not there exists: no folder can be made in its place.
    existing = next(one for one in (place, *place.parents) if os.path.lexists(one))
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write to {path}; choose another folder with {option}.")


@contextlib.contextmanager
def hold(folder: RunFolder, note: Callable[[str], None]) -> Iterator[None]:
    """Create the folder and lock it against every other search.

    The lock is the kernel's: it ends with this process, however that ends. Network file systems may
    have none; then the search goes on without, and `note` says so.

    Raises:
        UserError: if the folder cannot be written, or another search holds it.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        descriptor = regular.open_own(folder.path / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(
            f"cannot write to the output folder {folder.path} ({error.strerror}: "
            f"{error.filename}); choose another with --out."
        ) from error
    try:
        try:
            has_locks = _acquire(descriptor)
        except BlockingIOError as error:
            raise UserError(
                f"another search (process {_holder(descriptor)}) runs in {folder.path}; "
                "wait for it or choose another --out."
            ) from error
        except OSError as error:
            raise UserError(
                f"cannot lock the output folder {folder.path} ({error.strerror}); choose another, "
                "on a local disk, with --out."
            ) from error
        if not has_locks:
            note(
                f"The file system of {folder.path} has no locks: start no other search in this "
                "folder, or choose one on a local disk with --out."
            )
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def private_folder() -> Path:
    """Return the folder for Ray and for compiled programs, which only this user can read.

    Raises:
        UserError: if there is none and none can be made.
    """
    try:
        return ray_env.prepare(os.environ)
    except OSError as error:
        raise UserError(
            f"Ray has no folder to work in ({error}): set TMPDIR to one that can be written."
        ) from error


@contextlib.contextmanager
def note_others(note: Callable[[str], None]) -> Iterator[None]:
    """Say by `note` if another search of this user runs on this machine: they disturb each other.

    Raises:
        OSError: if the private folder cannot be written.
        UserError: as `private_folder`.
    """
    descriptor = regular.open_own(private_folder() / "search.lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            lock.acquire(descriptor, wait=False)
        except BlockingIOError:
            note(
                f"Another search (process {_holder(descriptor)}) runs on this machine. They take "
                "each other's CPUs, so neither measures what training alone gets: wait for it."
            )
        else:
            _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> bool:
    """Lock the file as `lock.acquire` does; wait for the guard of a search that died."""
    deadline = time.monotonic() + _GUARD_S
    while True:
        try:
            return lock.acquire(descriptor, wait=False)
        except BlockingIOError:
            holder = _holder(descriptor)
            is_alive = not holder.isdecimal() or read_stat(int(holder)) is not None
            if is_alive or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"


def _sign(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # on a full disk it is locked all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
