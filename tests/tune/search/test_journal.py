"""The end of a journal that was torn."""

import os
from pathlib import Path

import pytest

from tune.search.journal import mend_end


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
