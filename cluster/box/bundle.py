"""Send the results that the laptop lacks: one tar of whole files, the profiles first."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from cluster.node.secret_names import without_secret_words

MTIME_NS = "RLTUNER.mtime_ns"
LARGEST_BYTES = 256 * 2**20
_COMMANDS = frozenset({"words", "own_words"})  # in job.json
_LEFT_OUT = frozenset({"ray", "lock"})  # below run/: Ray Tune's own records of the same trials


def send(jobs: Path, have: Mapping[str, tuple[int, int]], stream: BinaryIO) -> None:
    """Write a tar of all files below `jobs` that `have` (size and mtime in ns) does not match.

    A file that grows meanwhile is sent at the size it had when its turn came; the next pull fetches
    it again. Profiles go first and logs last, so that a broken link costs the least.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(jobs):
            name = path.relative_to(jobs).as_posix()
            try:
                status = path.stat()
                known = tuple(have.get(name, ()))
                if known == (status.st_size, status.st_mtime_ns):
                    continue
                content = _content(path, status.st_size)
            except FileNotFoundError:
                continue  # replaced or removed since it was listed
            if known == (len(content), status.st_mtime_ns):
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {MTIME_NS: str(status.st_mtime_ns)}
            tar.addfile(member, io.BytesIO(content))


def _content(path: Path, size: int) -> bytes:
    """Return what is sent of a file: all but the secrets of a job's command, which are masked."""
    with path.open("rb") as file:
        content = file.read(size)
    if path.name != "job.json":
        return content
    request = json.loads(content)
    for key in _COMMANDS & request.keys():
        request[key] = request[key] and without_secret_words(request[key])
    return json.dumps(request).encode()


def _files(jobs: Path) -> Iterator[Path]:
    found = [
        path
        for path in jobs.glob("**/*")
        if path.is_file() and not path.is_symlink() and _wanted(path.relative_to(jobs))
    ]
    return iter(sorted(found, key=lambda path: (_rank(path.relative_to(jobs)), path)))


def _wanted(relative: Path) -> bool:
    """Return whether a file is a result: neither a draft nor one of Ray's own below `run/`."""
    return not (
        relative.name.startswith(".")
        or (
            len(relative.parts) > 2
            and relative.parts[1] == "run"
            and relative.parts[2] in _LEFT_OUT
        )
    )


def _rank(relative: Path) -> int:
    if len(relative.parts) > 1 and relative.parts[1] == "profiles":
        return 0
    return 1 if relative.name in ("journal.log", "job.json", "exit.json") else 2
