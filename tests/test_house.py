"""The rules of the house that a program can check, over its source and without running it."""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from house import PACKAGES, circles, imports, modules
from places import ROOT, TESTS

RIDDLES = {"What", "How", "Whether", "Which", "Why", "When", "Where", "If", "Of", "That", "Who"}
"""First words of docstrings that name nothing and do nothing: a noun or a verb says more."""
MOST_LINES = 300
"""A longer file says in its docstring why it is "past 300 lines"."""
MOST_ROOMS = 20
SAME_NAME: dict[str, str] = {}
"""Public names that several modules give to something of their own, and why that is well."""
WORKLOADS = {"adapters", "flops", "jax_phase12", "jax_state", "jax_workload", "pytorch_phase3"}
"""The rooms of trainables that may import JAX or torch."""
NO_MODULE: dict[str, str] = {}
"""Test files, below tests/, that are about no module of their name, and why."""


def parsed(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module of these packages, or of all, by its file."""
    for name, path in modules(ROOT).items():
        if name.partition(".")[0] in (packages or PACKAGES):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def public_names(tree: ast.Module) -> Iterator[str]:
    """The classes and constants that a module gives to others."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not is_type_variable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names = (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
                yield from (name for name in names if name[0].isupper())


def is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).endswith("TypeVar")


def test_public_names_are_unique() -> None:
    homes = defaultdict(list)
    for file, tree in parsed():
        for name in set(public_names(tree)):
            if not name.startswith("_"):
                homes[name].append(file)
    twice = {name: files for name, files in homes.items() if len(files) > 1}
    none([f"{name}: {', '.join(twice[name])}" for name in twice if name not in SAME_NAME])
    none([f"{name} is in SAME_NAME, and unique" for name in SAME_NAME if name not in twice])


def test_docstrings_open_with_a_noun_or_a_verb() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    opened = [
        f"{file}:{getattr(node, 'lineno', 1)}: {text.partition(chr(10))[0]}"
        for file, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and (text := ast.get_docstring(node))
        if text.split()[0].rstrip(",:") in RIDDLES
    ]
    none(opened)


def test_a_long_file_says_why() -> None:
    long = [
        f"{file}: {lines} lines"
        for file, tree in parsed("tune", "trainables", "search_spaces", "cluster")
        if (lines := len((ROOT / file).read_text().splitlines())) > MOST_LINES
        if f"past {MOST_LINES} lines" not in (ast.get_docstring(tree) or "").lower()
    ]
    none(long)


def test_tune_has_few_rooms() -> None:
    rooms = [path.name for path in (ROOT / "tune").iterdir()]
    rooms = [name for name in rooms if name not in {"__init__.py", "__pycache__"}]
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


def test_no_modules_import_each_other() -> None:
    none([", ".join(group) for group in circles(imports(ROOT))])


def test_every_room_of_trainables_is_held_to_import_no_framework() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    [held] = [
        one["source_modules"] for one in contracts if "jax" in one.get("forbidden_modules", ())
    ]
    rooms = {name.split(".")[1] for name in modules(ROOT) if name.startswith("trainables.")}
    none([f"trainables.{room}" for room in rooms - WORKLOADS if f"trainables.{room}" not in held])


def test_each_test_file_is_about_the_module_of_its_name() -> None:
    strangers = [
        str(path.relative_to(TESTS))
        for package in PACKAGES
        for path in sorted((TESTS / package).rglob("test_*.py"))
        if not _is_module(ROOT / path.parent.relative_to(TESTS) / path.stem.removeprefix("test_"))
    ]
    none([path for path in strangers if path not in NO_MODULE])
    none([f"{path} is in NO_MODULE, and has one" for path in NO_MODULE if path not in strangers])


def _is_module(path: Path) -> bool:
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_tests_lie_in_the_rooms_of_their_modules() -> None:
    elsewhere = {"support", "whole", *PACKAGES}
    files = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]
    none([str(path) for path in files if path.parts[0] not in {"test_house.py", *elsewhere}])


def none(found: list[str]) -> None:
    """Say in full what was found and should not be."""
    assert not found, "\n" + "\n".join(sorted(found))
