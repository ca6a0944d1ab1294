"""`pull`: bring results home; whole files only, and only those that are not here yet."""

import contextlib
import dataclasses
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from cluster.box.bundle import LARGEST_BYTES, MTIME_NS
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError
from cluster.node.atomic import replacing

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What one pull brought: how many files, and which profiles are new."""

    num_files: int
    profiles: tuple[Path, ...]


def pull(box: RemoteBox, out: Path) -> Pulled:
    """Fetch a box's results into `out/<host>/<job>/`.

    A pull that breaks has brought every file that was complete; the next one goes on from there.

    Raises:
        HostError: if the box cannot be reached, the link breaks, or it sends what it should not.
    """
    folder = out / box.host.name
    folder.mkdir(parents=True, exist_ok=True)
    arrived: list[Path] = []

    def consume(stream: IO[bytes]) -> None:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                arrived.extend(_store(box, tar, member, folder) for member in tar)
            while stream.read(_CHUNK):
                pass  # the padding behind the last file: ssh must not find its reader gone
        except tarfile.ReadError:
            return  # the link broke, or ssh never got through: its exit code says which

    box.pull(_have(folder), consume)
    profiles = tuple(path for path in arrived if path.parent.name == "profiles")
    return Pulled(num_files=len(arrived), profiles=profiles)


def _store(box: RemoteBox, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> Path:
    """Write one file beside its place, then move it there: a reader never sees half of it."""
    name = PurePosixPath(member.name)
    # A box is a stranger's machine: what it sends decides nothing about where it lands here.
    if not member.isreg() or name.is_absolute() or ".." in name.parts or len(name.parts) < 2:
        raise HostError(box.host, f"sent {member.name!r}, which is no result: pull stopped.")
    if member.size > LARGEST_BYTES:
        raise HostError(box.host, f"sent {member.name!r} of {member.size} bytes: pull stopped.")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise HostError(box.host, f"sent {member.name!r} through a link: pull stopped.")
    content = tar.extractfile(member)
    assert content is not None  # it is a regular file
    with replacing(path, mtime_ns=int(member.pax_headers[MTIME_NS])) as file:
        shutil.copyfileobj(content, file, _CHUNK)
        if file.tell() != member.size:
            raise tarfile.ReadError("the stream ended within a file")
    return path


def _have(folder: Path) -> dict[str, tuple[int, int]]:
    return dict(_sizes(folder))


def _sizes(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.glob("**/*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.name.startswith("."):
                status = path.stat()
                name = path.relative_to(folder).as_posix()
                yield name, (status.st_size, status.st_mtime_ns)
