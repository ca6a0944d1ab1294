"""Files that may be something else: nothing waits for a FIFO, nothing goes where a link leads."""

import os
from pathlib import Path

import pytest

from cluster.node.regular import open_own, read_bounded

APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def test_a_file_of_ours_is_made_and_appended_to(tmp_path: Path) -> None:
    for word in (b"one ", b"two"):
        descriptor = open_own(tmp_path / "log", APPEND)
        assert os.get_blocking(descriptor)
        os.write(descriptor, word)
        os.close(descriptor)
    assert read_bounded(tmp_path / "log") == "one two"


def test_a_link_is_not_followed_where_we_write(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "log").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        open_own(tmp_path / "log", APPEND)
    assert target.read_text() == "precious"
    assert read_bounded(tmp_path / "log") == "precious"  # what a person names may be one


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    path = {"fifo": path, "device": Path("/dev/null"), "folder": tmp_path}[kind]
    number = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"Not a regular file|No such device|Is a directory"):
        open_own(path, os.O_WRONLY)
    with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
        read_bounded(path)
    assert len(os.listdir("/proc/self/fd")) == number


def test_a_file_without_an_end_is_read_for_so_long_only(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(OSError, match="Longer than 1 MiB"):
        read_bounded(tmp_path / "long")
    assert len(read_bounded(tmp_path / "long", most_bytes=2**21)) == 2**20 + 1
