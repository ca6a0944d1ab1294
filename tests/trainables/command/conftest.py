"""A folder for commands that are run."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which the trial stands."""
    person = tmp_path / "person"
    person.mkdir()
    monkeypatch.chdir(person)
    return person
