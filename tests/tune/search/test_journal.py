"""The end of a journal that was torn, and the steps by which it grows."""

import contextlib
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tune.search.journal import StepwiseBackend, mend_end


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b'{"a":1}\n{"b":2}\n', b'{"a":1}\n{"b":2}\n'),
        (b'{"a":1}\n{"b":', b'{"a":1}\n'),
        (b'{"a":1}\n' + bytes(5000), b'{"a":1}\n'),
        (b'{"a":1}\n' + b"x" * 200_000, b'{"a":1}\n'),
        (b'{"a', b""),
        (b"", b""),
    ],
)
def test_only_whole_lines_are_kept(tmp_path: Path, content: bytes, kept: bytes) -> None:
    journal = tmp_path / "journal.log"
    journal.write_bytes(content)
    (tmp_path / "journal.log.lock").touch()
    mend_end(journal)
    assert journal.read_bytes() == kept
    assert os.listdir(tmp_path) == ["journal.log"]


def test_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"torn")
    (tmp_path / "journal.log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        mend_end(tmp_path / "journal.log")
    assert (tmp_path / "target").read_bytes() == b"torn"


def empty(folder: Path) -> Path:
    """A journal without events."""
    journal = folder / "journal.log"
    journal.touch()
    return journal


class Unlocked:
    """The lock of a file that nobody else has."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def numbers(backend: StepwiseBackend, log_number_from: int) -> list[int]:
    return [event["n"] for event in backend.read_logs(log_number_from)]


def in_file(journal: Path) -> list[int]:
    return [json.loads(line)["n"] for line in journal.read_text().splitlines()]


def test_a_step_is_written_at_once_and_read_as_if_it_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    journal = empty(tmp_path)
    backend, other = StepwiseBackend(journal, Unlocked()), StepwiseBackend(journal, Unlocked())
    backend.append_logs([{"n": 0}])
    other.append_logs([{"n": 1}])  # another process
    with backend.step():
        backend.append_logs([{"n": 2}])
        assert numbers(backend, 1) == [1, 2]
        backend.append_logs([{"n": 3}, {"n": 4}])
        assert numbers(backend, 3) == [3, 4]
        assert in_file(journal) == [0, 1]
    assert numbers(backend, 0) == in_file(journal) == [0, 1, 2, 3, 4]
    other.append_logs([{"n": 5}])
    assert (numbers(backend, 5), numbers(other, 2)) == ([5], [2, 3, 4, 5])
    assert len(synced) == 4


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = StepwiseBackend(empty(tmp_path), Unlocked())
    decoded: list[str] = []
    decode = json.loads

    def noted(line: str) -> object:
        decoded.append(line)
        return decode(line)

    monkeypatch.setattr("json.loads", noted)
    for n in range(20):
        with backend.step():
            assert numbers(backend, n) == []
            backend.append_logs([{"n": n}])
            assert numbers(backend, n) == [n]
    assert len(decoded) == 20


def test_a_line_that_somebody_writes_is_not_read_yet(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    backend = StepwiseBackend(journal, Unlocked())
    journal.write_text('{"n": 0}\n{"n":')
    assert numbers(backend, 0) == [0]
    journal.write_text('{"n": 0}\n{"n": 1}\n')
    assert numbers(backend, 1) == [1]


def test_a_step_that_fails_keeps_what_was_done_and_gives_the_lock_back(tmp_path: Path) -> None:
    class Lock(Unlocked):
        held = 0

        def acquire(self) -> bool:
            self.held += 1
            return True

        def release(self) -> None:
            self.held -= 1

    lock = Lock()
    backend = StepwiseBackend(empty(tmp_path), lock)

    def fail() -> None:
        with backend.step():
            backend.append_logs([{"n": 0}])
            assert lock.held == 1
            raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        fail()
    assert (numbers(backend, 0), lock.held) == ([0], 0)


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let files of this process grow up to a size, as a full disk would: what is longer is torn."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 5, 12, 3000])
def test_a_step_for_which_the_disk_has_no_room_leaves_nothing_that_the_next_is_glued_to(
    tmp_path: Path, room: int
) -> None:
    journal = empty(tmp_path)
    backend = StepwiseBackend(journal, Unlocked())
    backend.append_logs([{"n": 0}])
    whole = journal.read_bytes()

    def write_too_much() -> None:
        with backend.step():
            backend.append_logs([{"n": 1}, {"n": 2, "long": "x" * 5000}])

    with files_end_at(len(whole) + room), pytest.raises(OSError, match="File too large"):
        write_too_much()
    assert journal.read_bytes() == whole
    with backend.step():  # there is room again
        backend.append_logs([{"n": 3}])
    assert in_file(journal) == numbers(StepwiseBackend(journal, Unlocked()), 0) == [0, 3]


def test_a_step_that_could_not_be_synced_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = empty(tmp_path)
    backend = StepwiseBackend(journal, Unlocked())
    backend.append_logs([{"n": 0}])

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")  # told late, as by a network file system

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            backend.append_logs([{"n": 1}])
    backend.append_logs([{"n": 2}])
    assert in_file(journal) == [0, 2]
