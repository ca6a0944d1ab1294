"""`pull`: bring results home, in whole files, and only those that are not here yet."""

import contextlib
import dataclasses
import itertools
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from cluster.box.answer import JobStatus
from cluster.box.bundle import LARGEST_BYTES, MTIME_NS, SEARCH_ID, TOO_LARGE
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError
from cluster.node.atomic import read_json, replacing
from cluster.pages import units

_CHUNK = 1 << 20
_MOST_NAMES = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """The files that one pull brought to `folder`: their number, and the profiles among them.

    `too_large` are those of which it brought the names alone; each is told once. `set_aside` are
    folders of earlier searches, whose names other ones have taken.
    """

    folder: Path
    num_files: int
    profiles: tuple[Path, ...]
    too_large: tuple[str, ...]
    set_aside: tuple[Path, ...] = ()

    def __str__(self) -> str:
        text = f"pulled {units.plural(self.num_files, 'file')} to {self.folder}"
        return "; ".join([text, *self.warnings])

    @property
    def warnings(self) -> list[str]:
        """Sentences on searches set aside, and on files that stay on the box, if any are new."""
        told = [
            f"{path.stem} is another search than before, which is in {path}"
            for path in self.set_aside
        ]
        return told + self._too_large()

    def _too_large(self) -> list[str]:
        if not self.too_large:
            return []
        # A box may name what it likes, and as much.
        names = [
            name if name.isprintable() else repr(name) for name in self.too_large[:_MOST_NAMES]
        ]
        more = len(self.too_large) - len(names)
        names += [f"{more} more ({TOO_LARGE})"] * (more > 0)
        stay = "stays" if len(names) == 1 else "stay"
        limit = units.size(LARGEST_BYTES)
        return [f"{', '.join(names)} {stay} on the box: larger than {limit}"]


def pull(box: RemoteBox, out: Path) -> Pulled:
    """Fetch a box's results into `out/<host>/<job>/`.

    A pull that breaks off keeps the files that came whole; the next one fetches the rest.

    Raises:
        HostError: if the box cannot be reached, the link breaks, or it sends what it should not.
    """
    folder = out / box.host.name
    folder.mkdir(parents=True, exist_ok=True)
    arrived: list[Path] = []
    aside: list[Path] = []

    def consume(stream: IO[bytes]) -> None:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    path = _place(box, member, folder)
                    aside.extend(_set_aside(path, member.pax_headers.get(SEARCH_ID)))
                    _store(tar, member, path)
                    arrived.append(path)
            while stream.read(_CHUNK):
                pass  # the padding behind the last file: ssh must not find its reader gone
        except tarfile.ReadError:
            return  # the link broke, or ssh never got through: its exit code says which

    box.pull(_have(folder), consume)
    return Pulled(
        folder=folder,
        num_files=len(arrived),
        profiles=tuple(path for path in arrived if path.parent.name == "profiles"),
        too_large=tuple(name for path in arrived for name in _too_large(path, folder)),
        set_aside=tuple(aside),
    )


def has_end(job: JobStatus, folder: Path) -> bool:
    """Return whether a pull has brought a job's end to `folder`; its profiles came first."""
    try:
        pulled = read_json(folder / job.name / "exit.json")
    except (OSError, ValueError):
        return False
    return job.exit is not None and pulled == dataclasses.asdict(job.exit)


def _place(box: RemoteBox, member: tarfile.TarInfo, folder: Path) -> Path:
    """Return the path in `folder` of one file of the tar; its own folder is there then.

    Raises:
        HostError: if it is no result, or would land elsewhere.
    """
    name = PurePosixPath(member.name)
    # A box is a stranger's machine: what it sends decides nothing about where it lands here.
    if not member.isreg() or name.is_absolute() or ".." in name.parts or len(name.parts) < 2:
        raise HostError(box.host, f"sent {member.name!r}, which is no result: pull stopped.")
    if _mtime_ns(member) is None or "\0" in member.name:
        raise HostError(box.host, f"sent {member.name!r}, which no file can be: pull stopped.")
    if member.size > LARGEST_BYTES:
        raise HostError(box.host, f"sent {member.name!r} of {member.size} bytes: pull stopped.")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise HostError(box.host, f"sent {member.name!r} through a link: pull stopped.")
    return path


def _set_aside(request: Path, search: str | None) -> list[Path]:
    """Make room for a search whose request is to be `request`; return where what was there is now.

    A box that was rented anew may have the name of one before, and its search that of the other's.
    """
    try:
        known = read_json(request) if search else None
        is_same = known is None or known.get("id") == search  # an earlier version gave none
    except (OSError, ValueError, AttributeError):  # a box sent it, and what it likes
        is_same = True
    if is_same:
        return []
    job = request.parent
    places = (job.with_name(f"{job.name}.{number}") for number in itertools.count(1))
    place = job.rename(next(place for place in places if not place.exists()))
    job.mkdir()
    return [place]


def _store(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Store one file of the tar."""
    content = tar.extractfile(member)
    assert content is not None  # it is a regular file
    with replacing(path, mtime_ns=_mtime_ns(member)) as file:
        shutil.copyfileobj(content, file, _CHUNK)
        if file.tell() != member.size:
            raise tarfile.ReadError("the stream ended within a file")


def _mtime_ns(member: tarfile.TarInfo) -> int | None:
    """Return when a file was changed, `None` if its box tells no time that a file can have."""
    try:
        told = int(member.pax_headers.get(MTIME_NS, ""))
    except ValueError:
        return None
    return told if abs(told) < 2**63 else None


def _too_large(path: Path, folder: Path) -> list[str]:
    """Return the names that a box lists in this file, if it is its list of what stays there."""
    job = path.parent
    if path.name != TOO_LARGE or job.parent != folder:
        return []
    return [f"{job.name}/{name}" for name in path.read_text(errors="replace").splitlines()]


def _have(folder: Path) -> dict[str, tuple[int, int]]:
    return dict(_sizes(folder))


def _sizes(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.glob("**/*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.name.startswith("."):
                status = path.stat()
                name = path.relative_to(folder).as_posix()
                yield name, (status.st_size, status.st_mtime_ns)
