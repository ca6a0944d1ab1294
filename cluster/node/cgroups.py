"""This process's cgroups, v1 and v2 alike, read from the kernel's files. Stdlib only.

A limit may sit on the process's own cgroup or on any ancestor, so callers walk all of them. Inside
a container the ancestors above the container's own cgroup exist but cannot be seen.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """One cgroup directory of a hierarchy of the given version (1 or 2)."""

    version: int
    path: Path

    def read(self, name: str) -> str | None:
        """Return the file's text, `None` where the kernel has no such file for this cgroup."""
        return read_text(self.path / name)

    def read_int(self, name: str) -> int | None:
        """Return the file's number, `None` where there is none or it says `max`."""
        return parse_int(self.read(name))


def read_text(path: Path) -> str | None:
    """Return a kernel file's stripped text, `None` if it is absent or unreadable."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def parse_int(text: str | None) -> int | None:
    """Parse a kernel number; `max`, `unlimited` and an absent file are all no limit: `None`."""
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def ancestry(controller: str, *, proc: Path = Path("/proc")) -> list[Cgroup]:
    """Return this process's cgroups for `controller`, innermost first, each visible ancestor after.

    Hybrid hosts mount v1 hierarchies beside a v2 one that has no controllers; both are walked, and
    a file that is not there reads as `None`.
    """
    return [cgroup for mount in _mounts(controller, proc) for cgroup in _upwards(*mount)]


def paths(*, proc: Path = Path("/proc")) -> list[str]:
    """Return the cgroup paths of this process as /proc/self/cgroup words them."""
    return [path for _, path in _memberships(proc)]


def _memberships(proc: Path) -> list[tuple[frozenset[str], str]]:
    lines = (read_text(proc / "self/cgroup") or "").splitlines()
    fields = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return [(frozenset(names.split(",")), path) for _, names, path in fields]


def _mounts(controller: str, proc: Path) -> Iterator[tuple[int, Path, Path]]:
    """Yield (version, mount point, this process's directory) of each matching hierarchy."""
    memberships = _memberships(proc)
    for line in (read_text(proc / "self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        root, mount_point = (_unescape(field) for field in left.split()[3:5])
        file_system, _, *options = right.split()
        if file_system == "cgroup2":
            version, wanted = 2, ""
        elif file_system == "cgroup" and controller in ",".join(options).split(","):
            version, wanted = 1, controller
        else:
            continue
        for names, path in memberships:
            if wanted in names:
                yield version, Path(mount_point), _directory(Path(mount_point), root, path)


def _directory(mount_point: Path, root: str, path: str) -> Path:
    """Map a path of /proc/self/cgroup to a directory under the mount.

    A container may see the host's path with its own cgroup mounted as the root, or, with a cgroup
    namespace, `/` or a path through `..`. What cannot be mapped is the mount point itself.
    """
    if ".." in Path(path).parts:
        return mount_point
    relative = path.removeprefix(root) if root != "/" else path
    directory = mount_point / relative.strip("/")
    return directory if directory.is_dir() else mount_point


def _upwards(version: int, mount_point: Path, directory: Path) -> Iterator[Cgroup]:
    while True:
        yield Cgroup(version=version, path=directory)
        if directory == mount_point:
            return
        directory = directory.parent


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes (a space is `\\040`)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
