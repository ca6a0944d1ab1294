"""A workload's source is what an edit changes, and nothing else."""

import sys
import types
from pathlib import Path

import pytest

from trainables.workload import WorkloadInputError
from trainables.workload_source import edited, source_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sourced_loop.py").write_text("import os, sourced_net\n")
    (tmp_path / "sourced_net.py").write_text("from sourced_deep import layer\nimport numpy\n")
    (tmp_path / "sourced_deep.py").write_text("import sourced_loop\n")
    (tmp_path / "sourced_stranger.py").write_text("")
    (tmp_path / "sourced_pkg").mkdir()
    (tmp_path / "sourced_pkg" / "__init__.py").write_text("")
    (tmp_path / "sourced_pkg" / ".#loop.py").symlink_to("an-editor-s-lock")
    (tmp_path / "sourced_pkg" / "loop.py").write_text("this is no Python (\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("workload", "files"),
    [
        ("sourced_loop:make", {"sourced_loop.py", "sourced_net.py", "sourced_deep.py"}),
        ("sourced_stranger:make", {"sourced_stranger.py"}),
        ("sourced_pkg.loop:make", {"sourced_pkg/__init__.py", "sourced_pkg/loop.py"}),
        ("sourced_nowhere:make", set()),
        ("sys:exit", set()),
        ("sourced_main:make", set()),
    ],
)
def test_its_files_are_those_that_it_imports_of_its_own(
    folder: Path, workload: str, files: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module without a spec, as a script's `__main__`.
    monkeypatch.setitem(sys.modules, "sourced_main", types.ModuleType("sourced_main"))
    assert source_of(workload).keys() == files
    imported = {name for name in sys.modules if name.startswith("sourced_")}
    assert imported == {"sourced_main"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [("sourced_deep.py", True), ("sourced_net.py", True), ("sourced_stranger.py", False)],
)
def test_an_edit_of_one_of_them_changes_it(folder: Path, file: str, changed: bool) -> None:
    before = source_of("sourced_loop:make")
    with (folder / file).open("a") as script:
        script.write("# faster now\n")
    assert edited(before, source_of("sourced_loop:make")) == [file] * changed


def test_a_name_without_a_factory_is_a_mistake() -> None:
    with pytest.raises(WorkloadInputError, match="must read package"):
        source_of("sourced_loop")
