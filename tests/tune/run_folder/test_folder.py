"""The lock of a search's folder, also where the file system has none."""

import errno
import fcntl
from pathlib import Path

import pytest

from cluster.errors import UserError
from tune.run_folder.folder import RunFolder, hold


def refuse_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(code, "No locks available" if code == errno.ENOLCK else "I/O error")

    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_second_search_in_a_folder_is_refused(tmp_path: Path) -> None:
    with (
        hold(RunFolder(tmp_path)),
        pytest.raises(UserError, match="another search"),
        hold(RunFolder(tmp_path)),
    ):
        pass


def test_a_folder_without_locks_is_used_and_the_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_with(monkeypatch, errno.ENOLCK)
    notes: list[str] = []
    with hold(RunFolder(tmp_path), notes.append):
        assert "has no locks: start no other search in this folder" in notes[0]


def test_a_folder_that_cannot_be_locked_for_another_reason_names_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_with(monkeypatch, errno.EIO)
    with (
        pytest.raises(UserError, match=r"cannot lock the output folder .* with --out"),
        hold(RunFolder(tmp_path)),
    ):
        pass
