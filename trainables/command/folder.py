"""A folder of its own for each run of a command, in which it finds what lies beside it.

Scripts write where they stand: runs/, logs/, checkpoints. So each run stands in an empty folder,
with a link to everything in the person's own one. What it reads is there by the same relative path,
and what it writes new stays with the run.
"""

import contextlib
import dataclasses
import itertools
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from trainables.command.options import FACTORY
from trainables.command.scalars import EVENTS
from trainables.measurement import TrialRequest
from trainables.workload import WorkloadInputError

_OUTPUTS = frozenset(
    {
        "checkpoints",
        "eval_runs",
        "log",
        "logs",
        "mlruns",
        "multirun",
        "nn",
        "outputs",
        "profiles",
        "results",
        "runs",
        "tensorboard",
        "train_dir",
        "videos",
        "wandb",
    }
)
"""Folders where scripts write; a link to one would mix the runs."""

_MOST_LINKS = 20_000
_MOST_SEEN = 1000
"""Entries of a folder that are looked at: data may be millions of files."""


@contextlib.contextmanager
def own_folder(request: TrialRequest) -> Iterator[TrialRequest]:
    """Give a command's run an empty folder of its own; remove it when the run is over.

    It is the parent's: a run that is killed removes nothing, and the disk that it filled stays so.

    Raises:
        OSError: if it cannot be made.
    """
    if request.workload != FACTORY:
        yield request
        return
    options = request.options
    if options.get("trials") is not None:
        Path(options["trials"]).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="trial-", dir=options.get("trials"))
    try:
        yield dataclasses.replace(request, options=options | {"folder": folder})
    finally:
        if not options.get("keep_outputs"):
            shutil.rmtree(folder, ignore_errors=True)


def make_standing_place(folder: Path, beside: Path) -> None:
    """Make `folder`, with a link to each entry of `beside` but hidden ones, outputs and logs.

    Raises:
        WorkloadInputError: if there are so many that this cannot be the folder of a training.
        OSError: if that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = sorted(os.scandir(beside), key=lambda entry: entry.name)
    if len(entries) > _MOST_LINKS:
        raise WorkloadInputError(
            f"{beside} has {len(entries):,} entries, and each run gets a link to each: start from "
            "the folder of your training."
        )
    for entry in entries:
        if entry.name.startswith(".") or (entry.name in _OUTPUTS and _is_folder(entry)):
            continue
        if _is_folder(entry) and _is_log(entry):
            continue  # what a run writes there could not be told from another's
        if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(entry.path)):
            continue  # a link to where it lies would make a circle
        with contextlib.suppress(FileExistsError):
            (folder / entry.name).symlink_to(entry.path)


def _is_log(folder: os.DirEntry[str]) -> bool:
    """Return whether a folder is of TensorBoard files, or of such folders, by a shallow look."""
    inside = _entries(folder)
    return _has_events(inside) or (
        bool(inside) and all(_is_folder(entry) and _has_events(_entries(entry)) for entry in inside)
    )


def _has_events(entries: Collection[os.DirEntry[str]]) -> bool:
    if any(entry.name.endswith(".py") for entry in entries):
        return False  # it is code, whatever was written beside it
    return any(EVENTS in entry.name and not _is_folder(entry) for entry in entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link that may not be followed is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, as far as it is looked at; nothing, if it may not be."""
    try:
        with os.scandir(folder) as entries:
            return list(itertools.islice(entries, _MOST_SEEN))
    except OSError:
        return []


def reachable(word: str, beside: Path) -> str:
    """Return an argument, with a path that leads up from `beside` made absolute.

    From a run's own folder it would lead elsewhere. It may stand behind an =, as in --config=../x.
    A link at its end stays one: a virtual environment's Python knows by it where it is.
    """
    head, equals, path = word.rpartition("=")
    place = beside / path
    if not path.startswith("..") or not place.exists():
        return word
    place = place.resolve() if place.name == ".." else place.parent.resolve() / place.name
    return f"{head}{equals}{place}"


def own_variables(beside: Path) -> dict[str, str]:
    """Return the variables by which a run keeps to itself, unless a person gives others.

    `uv run` takes the environment of the project `beside` the run: it looks for one where it runs,
    and would install another into each run's folder. Ray starts processes of the run: it looks for
    one that runs already, and would train there, uncounted, on GPUs of other trials.
    """
    return {"UV_PROJECT": str(beside), "RAY_ADDRESS": "local"}


def program_for(word: str, beside: Path, folder: Path) -> str:
    """Return the program of a run in `folder`; a path to what is `beside` it alone, made absolute.

    No link leads to what is hidden, as `.venv/bin/python` is.
    """
    is_here = "/" in word and not (folder / word).exists() and (beside / word).exists()
    return str(beside / word) if is_here else word
