"""The end of a journal that was torn, and the steps by which it grows."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tune.search.journal import StepwiseBackend, Unlocked, mend_end


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


class Lines:
    """A backend in memory that counts its writes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.num_writes = 0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        yield from map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.num_writes += 1
        self.lines += map(json.dumps, logs)


def numbers(backend: StepwiseBackend, log_number_from: int) -> list[int]:
    return [event["n"] for event in backend.read_logs(log_number_from)]


def test_a_step_is_written_at_once_and_read_as_if_it_were_written() -> None:
    lines = Lines()
    backend = StepwiseBackend(lines, Unlocked())
    backend.append_logs([{"n": 0}])
    lines.append_logs([{"n": 1}])  # another process
    with backend.step():
        backend.append_logs([{"n": 2}])
        assert numbers(backend, 1) == [1, 2]
        backend.append_logs([{"n": 3}, {"n": 4}])
        assert numbers(backend, 3) == [3, 4]
        assert len(lines.lines) == 2
    assert numbers(backend, 0) == [0, 1, 2, 3, 4]
    assert lines.num_writes == 3


def test_a_step_that_fails_keeps_what_was_done_and_gives_the_lock_back() -> None:
    class Lock(Unlocked):
        held = 0

        def acquire(self) -> bool:
            self.held += 1
            return True

        def release(self) -> None:
            self.held -= 1

    lines, lock = Lines(), Lock()
    backend = StepwiseBackend(lines, lock)

    def fail() -> None:
        with backend.step():
            backend.append_logs([{"n": 0}])
            assert lock.held == 1
            raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        fail()
    assert (numbers(backend, 0), lock.held) == ([0], 0)
