"""Files that are whole or absent: a reader never sees half of one, nor does a power cut leave it.

Stdlib only.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def replacing(
    path: Path, *, mode: int | None = None, mtime_ns: int | None = None
) -> Iterator[IO[bytes]]:
    """Yield a file that becomes `path` in one step, once its content is on the disk.

    The umask decides on the file's mode if `mode` is left out. An exception leaves the old file,
    if any, untouched.

    Raises:
        OSError: if the folder is absent or cannot be written, or the disk is full.
    """
    # In the same folder: a rename is atomic only within a file system.
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(draft, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)  # whatever the umask took away
            yield file
            file.flush()
            if mtime_ns is not None:
                os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write `content` as the whole of `path`, in one step; make its folder if that is absent.

    The default mode lets the trainer's user read what another user's search has written.

    Raises:
        OSError: if the folder cannot be made or written; the old file, if any, is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=mode) as file:
        file.write(content)


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write `text` in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode(), mode=mode)


def read_json(path: Path) -> Any:
    """Return the file's value, `None` if there is no such file.

    Raises:
        ValueError: if it is no JSON, or none that can be read.
        OSError: if the file cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply.") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as the whole of `path`, in one step, for this user alone (mode 0600).

    Raises:
        OSError: as `replacing`.
    """
    with replacing(path, mode=0o600) as file:
        file.write(json.dumps(value).encode())
