"""The lock of a search's folder, also where the file system has none."""

import datetime
import errno
import fcntl
from pathlib import Path

import pytest

from cluster.errors import UserError
from tune.run_folder.folder import RunFolder, hold, locate, new_path, require_writable


def refuse_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(code, "No locks available" if code == errno.ENOLCK else "I/O error")

    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_search_is_resumed_by_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    own, other = (new_path(name, now) for name in ("ppo", "ppo-atari"))
    for path in (own, other):
        path.mkdir(parents=True)
        RunFolder(path).journal.write_text("{}\n")
    assert locate("ppo", out=None, resume=True, now=now).path == own
    RunFolder(own).journal.unlink()
    with pytest.raises(UserError, match=r"found no search in runs/ppo-\*"):
        locate("ppo", out=None, resume=True, now=now)


def test_a_second_search_in_a_folder_is_refused(tmp_path: Path) -> None:
    with (
        hold(RunFolder(tmp_path), print),
        pytest.raises(UserError, match="another search"),
        hold(RunFolder(tmp_path), print),
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
        hold(RunFolder(tmp_path), print),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("new/folder", False),
        ("folder/new", False),
        ("link/new", False),
        ("file", True),
        ("file/new", True),
        ("dangling", True),
        ("loop", True),
        ("loop/new", True),
    ],
)
def test_where_no_folder_can_be_made_is_found_before_the_search(
    tmp_path: Path, name: str, is_refused: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for link, target in (("link", "folder"), ("dangling", "gone"), ("loop", "loop")):
        (tmp_path / link).symlink_to(target)
    place = tmp_path / name
    if is_refused:
        with pytest.raises(OSError, match=name.split("/")[0]):
            place.mkdir(parents=True, exist_ok=True)
        with pytest.raises(UserError, match=f"cannot write to {place}; .* with --profiles"):
            require_writable(place, option="--profiles")
    else:
        require_writable(place, option="--profiles")
        place.mkdir(parents=True, exist_ok=True)
