"""Regular files: a FIFO would hold up who opens it, and a link leads elsewhere. Stdlib only."""

import errno
import os
import stat
from pathlib import Path

_MOST_BYTES = 2**20


def open_own(path: Path, flags: int) -> int:
    """Open or create a file of ours for writing, and return its descriptor.

    In a folder that others may write to, a link by its name would have us write to its target.

    Raises:
        OSError: if it cannot be opened, or is a link, a FIFO or a device.
    """
    return _open_at_once(str(path), flags | os.O_NOFOLLOW)


def read_bounded(path: Path, *, most_bytes: int = _MOST_BYTES) -> str:
    """Return the text of a file that a person names, in UTF-8.

    Raises:
        OSError: if it cannot be read, is no regular file, or is longer than `most_bytes`.
        UnicodeDecodeError: if it is no text.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"Longer than {most_bytes / 2**20:.0f} MiB", str(path))
    return content.decode()


def _open_at_once(path: str, flags: int) -> int:
    """Open a regular file, and never wait for one that is another: a FIFO waits for its reader."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "Not a regular file", path)
