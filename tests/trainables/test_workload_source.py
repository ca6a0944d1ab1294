"""A workload's source is what an edit changes, and nothing else."""

import sys
import types
from pathlib import Path

import pytest

from trainables.command.options import FACTORY
from trainables.workload import WorkloadInputError
from trainables.workload_source import (
    edited,
    framework_of,
    require_factory,
    source_of,
)


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
    assert source_of(workload, {}).keys() == files
    imported = {name for name in sys.modules if name.startswith("sourced_")}
    assert imported == {"sourced_main"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [("sourced_deep.py", True), ("sourced_net.py", True), ("sourced_stranger.py", False)],
)
def test_an_edit_of_one_of_them_changes_it(folder: Path, file: str, changed: bool) -> None:
    before = source_of("sourced_loop:make", {})
    with (folder / file).open("a") as script:
        script.write("# faster now\n")
    assert edited(before, source_of("sourced_loop:make", {})) == [file] * changed


def test_a_name_without_a_factory_is_a_mistake() -> None:
    with pytest.raises(WorkloadInputError, match="must read package"):
        source_of("sourced_loop", {})


@pytest.mark.parametrize(
    "source",
    [
        "def make(config, options): ...",
        "class make: ...",
        "from other import thing as make",
        "from other import *",
        "make = other = None",
        "make: int = 3",
        "try:\n    import a\nexcept ImportError:\n    make = None",
        "if True:\n    def make(): ...",
    ],
)
def test_a_factory_that_is_there_is_found_without_an_import(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sourced_new.py").write_text(f"{source}\nraise RuntimeError('imported')\n")
    require_factory("sourced_new:make")
    monkeypatch.chdir(folder)
    require_factory("sourced_new.py:make")


@pytest.mark.parametrize(
    ("workload", "source", "words"),
    [
        ("sourced_new:mak", "def make(): ...\ndef other(): ...", "has no function mak; did you"),
        ("sourced_new:zzz", "def make(): ...\ndef other(): ...", "zzz; it has make, other"),
        ("sourced_new:make", "def f():\n    make = 1", "has no function make; "),
        ("sourced_new:make", "if __name__ == '__main__':\n    x = 1", "has no function make"),
        ("sourced_new:make", "def make(:\n", "sourced_new.py, line 1 is no Python: invalid syntax"),
        ("nowhere.py:make", "", "there is no file nowhere.py here"),
    ],
)
def test_what_is_certain_costs_no_trial(
    folder: Path, workload: str, source: str, words: str
) -> None:
    (folder / "sourced_new.py").write_text(source)
    with pytest.raises(WorkloadInputError) as error:
        require_factory(workload)
    assert words in str(error.value)


def test_a_package_and_a_builtin_are_believed(folder: Path) -> None:
    for workload in ("sourced_pkg.loop:make", "sys:exit", "sourced_nowhere:make"):
        require_factory(workload)


@pytest.mark.parametrize(
    ("source", "framework"),
    [
        ("import torch", "torch"),
        ("from stable_baselines3 import PPO", "torch"),
        ("from sbx import PPO; from stable_baselines3.common.env_util import make_vec_env", "jax"),
        ("import sourced_net", "jax"),
        ("import jax, torch", "jax"),
        ("from flax import linen", "jax"),
        ("import os", "jax"),
    ],
)
def test_the_framework_is_what_its_files_import(folder: Path, source: str, framework: str) -> None:
    (folder / "sourced_new.py").write_text(source)
    assert framework_of("sourced_new:make") == framework


def test_a_framework_is_found_beside_it_too(folder: Path) -> None:
    (folder / "sourced_deep.py").write_text("import torch\n")
    assert framework_of("sourced_loop:make") == "torch"


def test_a_command_s_source_is_its_scripts_and_small_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "sizes.yaml").write_text("a: 1")
    (folder / "bars.csv").write_text("1,2")
    words = ["python", "sourced_loop.py", "--c", "sizes.yaml", "bars.csv", "x.py"]
    words.append(f"exec {'echo ' * 60} train.py x.yaml")  # as behind bash -c, no name of a file
    found = source_of(FACTORY, {"arguments": words})
    files = {"sourced_loop.py", "sourced_net.py", "sourced_deep.py", "sizes.yaml"}
    assert found.keys() == files
    (folder / "sizes.yaml").write_text("a: 2")
    after = source_of(FACTORY, {"arguments": words[:4]})
    assert edited(found, after) == ["sizes.yaml"]
