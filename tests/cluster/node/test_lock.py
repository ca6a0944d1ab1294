"""Locks on files, and file systems without them."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from cluster.node import lock


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_lock_that_another_holds_is_not_taken(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    assert lock.acquire(first, wait=False)
    with pytest.raises(BlockingIOError):
        lock.acquire(second, wait=False)
    os.close(first)
    assert lock.acquire(second, wait=True)
    os.close(second)


@pytest.mark.parametrize(
    ("code", "is_known"),
    [(errno.ENOLCK, True), (errno.EOPNOTSUPP, True), (errno.ENOSYS, True), (errno.EIO, False)],
)
def test_a_file_system_without_locks_is_told_from_one_that_fails(
    monkeypatch: pytest.MonkeyPatch, code: int, is_known: bool
) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", fail)
    if is_known:
        assert lock.acquire(0, wait=False) is False
    else:
        with pytest.raises(OSError, match=os.strerror(code)):
            lock.acquire(0, wait=False)
