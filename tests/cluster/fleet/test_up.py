"""The code that travels to a box."""

import subprocess
from pathlib import Path

import pytest

from cluster.errors import FleetError
from cluster.fleet.up import pack


def commit(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    (folder / "file").write_text("content")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)


def test_the_last_commit_travels(tmp_path: Path) -> None:
    commit(tmp_path)
    (tmp_path / "file").write_text("changed")
    code = pack(tmp_path)
    assert (len(code.revision), code.num_changed) == (40, 1)
    assert b"content" in code.tar


def test_what_git_refuses_is_told_in_gits_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FleetError, match="not a git repository"):
        pack(tmp_path)
    commit(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(FleetError, match="dubious ownership"):
        pack(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FleetError, match="git is not installed"):
        pack(tmp_path)
