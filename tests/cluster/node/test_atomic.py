"""Files that are replaced in one step: their content, their modes, and what a failure leaves."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.node import atomic


@pytest.fixture(autouse=True, params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_text_and_bytes_are_others_to_read_and_make_their_folder(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a" / "b" / "text", "one\r\ntwo ü\n")
    atomic.write_bytes(tmp_path / "a" / "bytes", b"\0\xff")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == "one\r\ntwo ü\n".encode()
    assert (tmp_path / "a" / "bytes").read_bytes() == b"\0\xff"
    assert mode_of(tmp_path / "a" / "b" / "text") == mode_of(tmp_path / "a" / "bytes") == 0o644


def test_secret_is_its_owners_alone_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "token"
    atomic.write_text(path, "secret", mode=0o600)
    assert mode_of(path) == 0o600
    with atomic.replacing(path, mode=0o600):
        modes = [mode_of(draft) for draft in tmp_path.iterdir()]
    assert modes == [0o600, 0o600]


def test_json_is_its_owners_alone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    assert atomic.read_json(path) is None
    atomic.write_json(path, {"words": ["a", None]})
    assert atomic.read_json(path) == {"words": ["a", None]}
    assert mode_of(path) == 0o600


def test_stream_has_its_time_and_the_umasks_mode(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "pulled"
    with atomic.replacing(path, mtime_ns=1_700_000_000_123_456_789) as file:
        file.write(b"one ")
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert mode_of(path) == 0o666 & ~umask


def test_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("old")
    with atomic.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: atomic.write_json(path, object()),
        lambda path: atomic.write_text(path, "\ud800"),
    ],
)
def test_failure_leaves_the_old_file_and_no_draft(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "value"
    path.write_text("old")
    with pytest.raises((TypeError, ValueError)):
        write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
