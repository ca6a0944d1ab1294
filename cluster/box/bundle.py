"""Send the results that the laptop lacks: one tar of whole files, requests and profiles first."""

import contextlib
import io
import itertools
import json
import os
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cluster.node.atomic import write_text
from cluster.node.secret_names import without_secret_words

MTIME_NS = "RLTUNER.mtime_ns"
SEARCH_ID = "RLTUNER.search_id"
"""The header of a job's request that tells its search from another of the same name."""
LARGEST_BYTES = 256 * 2**20
TOO_LARGE = "too_large.txt"
"""The file of a job's folder that lists its files of more than `LARGEST_BYTES`: they stay."""
_COMMANDS = frozenset({"words", "own_words"})  # of a request
# In a run's folder, or a class's within: Ray Tune's own records of the same trials.
_LEFT_OUT = frozenset({"ray", "lock"})
_OUTPUTS = ("trials", "outputs")  # where a person's command writes: checkpoints, mostly


def send(jobs: Path, have: Mapping[str, tuple[int, int]], stream: BinaryIO) -> None:
    """Write a tar of all files below `jobs` that `have` (size and mtime in ns) does not match.

    A file that grows meanwhile is sent at the size it had when its turn came; the next pull fetches
    it again. Requests go first, as they tell whose all else is; then profiles, and logs last, so
    that a broken link costs the least.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(jobs):
            name = path.relative_to(jobs).as_posix()
            try:
                status = path.stat()
                known = tuple(have.get(name, ()))
                if known == (status.st_size, status.st_mtime_ns):
                    continue
                with path.open("rb") as file:
                    content = file.read(min(status.st_size, LARGEST_BYTES))
            except FileNotFoundError:
                continue  # replaced or removed since it was listed
            headers = {MTIME_NS: str(status.st_mtime_ns)}
            if path.parent.parent == jobs and path.name == "job.json":
                request = json.loads(content)
                content = json.dumps(_without_secrets(request)).encode()
                if known == (len(content), status.st_mtime_ns):
                    continue
                headers |= {SEARCH_ID: request["id"]} if request.get("id") else {}
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = headers
            tar.addfile(member, io.BytesIO(content))


def _without_secrets(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's request with the secrets of its command masked."""
    commands = {key: request[key] for key in _COMMANDS & request.keys() if request[key]}
    return {**request, **{key: without_secret_words(commands[key]) for key in commands}}


def staying(jobs: Path) -> list[Path]:
    """Return what `send` does not bring home, and what goes with the box.

    Those are large files, and folders in which a person's command left files.
    """
    found: set[Path] = set()
    for job in jobs.glob("[!.]*"):
        is_left_out = _left_out(job)
        left_out = filter(is_left_out, _paths(job, is_left_out))
        outputs = [path for path in left_out if path.parts[-2:] == _OUTPUTS]
        found |= {folder for folder in outputs if any(map(_is_own, _paths(folder)))}
        found |= {path for path in _results(job) if _is_large(path)}
    return sorted(found)


def _files(jobs: Path) -> list[Path]:
    """Return the results of all jobs in the order in which they are sent."""
    found: set[Path] = set()
    for job in jobs.glob("[!.]*"):
        results = _results(job)
        large = {path for path in results if _is_large(path)}
        if large or job / TOO_LARGE in results:
            _note(job, large)
            results.add(job / TOO_LARGE)
        found |= results - large
    return sorted(found, key=lambda path: (_rank(path.relative_to(jobs)), path))


def _results(job: Path) -> set[Path]:
    """Return a job's results. Drafts are none."""
    is_left_out = _left_out(job)
    return {
        path
        for path in _paths(job, is_left_out)
        if not path.name.startswith(".") and not is_left_out(path) and _is_own(path)
    }


def _paths(
    folder: Path, is_left_out: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """Yield all paths below a folder, but none below a folder that is left out.

    What vanishes meanwhile, as the folders of trials do, is passed over.
    """
    for parent, folders, files in os.walk(folder, onerror=_pass_over):
        yield from (Path(parent, name) for name in (*folders, *files))
        folders[:] = [name for name in folders if not is_left_out(Path(parent, name))]


def _pass_over(error: OSError) -> None:
    """Pass over a folder that is gone, or closed to us.

    Raises:
        OSError: any other, for results that a disk does not show are not none.
    """
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error


def _left_out(job: Path) -> Callable[[Path], bool]:
    """Return what tells whether a path is Ray's, or a person's command's, own below `run/`.

    So is all below such a path.
    """

    def is_left_out(path: Path) -> bool:
        run, *below = path.relative_to(job).parts
        return run == "run" and (
            not _LEFT_OUT.isdisjoint(below[:2]) or _OUTPUTS in itertools.pairwise(below)
        )

    return is_left_out


def _is_own(path: Path) -> bool:
    """Return whether a path is a file, and no link: a trial's folder links to what it reads."""
    return path.is_file() and not path.is_symlink()


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > LARGEST_BYTES
    except FileNotFoundError:
        return False  # removed since it was listed


def _note(job: Path, large: Collection[Path]) -> None:
    """List the files that are too large; the list is sent again only where it has changed."""
    path = job / TOO_LARGE
    text = "".join(f"{one.relative_to(job).as_posix()}\n" for one in sorted(large))
    if not path.exists() or path.read_text() != text:
        with contextlib.suppress(OSError):  # a full disk must keep no result here
            write_text(path, text, mode=0o600)


def _rank(relative: Path) -> int:
    _, *below = relative.parts
    if below == ["job.json"]:
        return 0
    if below[0] == "profiles":
        return 1
    return 2 if relative.name in ("journal.log", "exit.json") else 3
