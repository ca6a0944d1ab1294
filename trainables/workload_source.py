"""The source of a person's own workload, as hashes by file: an edit makes it another workload.

Nothing is imported: a module that cannot be imported here is still one that can be compared.
"""

import ast
import difflib
import hashlib
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Literal

from trainables.command.options import FACTORY
from trainables.workload import WorkloadInputError, split_name

_NUM_DIGITS = 16
_OF_JAX = frozenset({"jax", "flax", "optax", "brax", "gymnax", "equinox", "haiku", "sbx"})
_OF_TORCH = frozenset({"torch", "stable_baselines3", "sb3_contrib", "torchrl", "tianshou", "skrl"})
_TEXTS = frozenset({".sh", ".yaml", ".yml", ".toml", ".json", ".cfg", ".gin"})
"""Files that decide what a command does; others may be data of any size."""


def source_of(workload: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of each file of `source_files`, by its name.

    Raises:
        WorkloadInputError: if the name is not `package.module:factory`.
    """
    return {name: _hash(path) for name, path in source_files(workload, options).items()}


def source_files(workload: str, options: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files that the factory's module consists of, by relative path.

    Of a command they are the files that it names.

    A package is all of its modules; a module is its file, and the modules beside it that it
    imports, and theirs. Empty if there is no such module.

    Raises:
        WorkloadInputError: if the name is not `package.module:factory`.
    """
    if workload == FACTORY:
        return _files_of_command(options["arguments"])
    module, _ = split_name(workload)
    if module.endswith(".py"):
        script = Path(module)
        beside = _with_neighbours(script) if script.is_file() else []
        return {path.name: path for path in beside}
    found = top_level_spec(module)
    if found is None:
        return {}
    if found.submodule_search_locations:
        folders = [Path(place) for place in found.submodule_search_locations]
        return {
            path.relative_to(folder.parent).as_posix(): path
            for folder in folders
            for path in sorted(folder.rglob("*.py"))
            if path.is_file()  # an editor's lock is a link to nowhere
        }
    if found.origin is not None and found.origin.endswith(".py"):
        return {path.name: path for path in _with_neighbours(Path(found.origin))}
    return {}


def _files_of_command(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the files that a command names, and the modules beside its scripts."""
    files: set[Path] = set()
    for word in arguments:
        path = Path(word)
        if path.suffix not in {".py", *_TEXTS} or not os.path.isfile(path):
            continue  # `Path.is_file` raises for a word that is too long for a name
        if path.suffix == ".py":
            files.update(_with_neighbours(path))
        else:
            files.add(path)
    return {os.path.relpath(path): path for path in sorted(files)}


def require_factory(workload: str) -> None:
    """Require that the workload's file can be parsed and has the factory, as far as that shows.

    What is certain now costs no trial. A package, or a file that takes names from elsewhere by *,
    is believed.

    Raises:
        WorkloadInputError: naming the line, or what is there instead.
    """
    module, factory = split_name(workload)
    file = _file_of(module)
    if file is None:
        return
    if not file.is_file():
        raise WorkloadInputError(f"--workload {workload}: there is no file {file} here.")
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise WorkloadInputError(f"{file}{line} is no Python: {error.args[0]}.") from error
    names = {name for node in tree.body for name in _defined(node)}
    if factory in names or "*" in names:
        return
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    near = difflib.get_close_matches(factory, functions, n=1)
    instead = f"did you mean {near[0]}?" if near else f"it has {', '.join(functions) or 'none'}."
    raise WorkloadInputError(f"--workload {workload}: {file} has no function {factory}; {instead}")


def framework_of(workload: str) -> Literal["jax", "torch"]:
    """Return the framework that the workload's own files import; JAX if they do not tell."""
    module, _ = split_name(workload)
    file = _file_of(module)
    files = [] if file is None or not file.is_file() else _with_neighbours(file)
    imported = {name for path in files for name in _imported(path)}
    return "torch" if imported & _OF_TORCH and not imported & _OF_JAX else "jax"


def _file_of(module: str) -> Path | None:
    """Return the file of a module that is one file, without an import; `None` for a package."""
    if module.endswith(".py"):
        return Path(module)
    found = top_level_spec(module)
    if found is None or found.submodule_search_locations or found.origin is None:
        return None
    return Path(found.origin) if found.origin.endswith(".py") else None


def _defined(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement gives to its module; "*" for those of another module."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case _:
            for part in ast.iter_child_nodes(node):
                yield from _defined(part)


def top_level_spec(module: str) -> ModuleSpec | None:
    """Return where Python finds the module's package, without an import; `None` if nowhere."""
    try:
        return importlib.util.find_spec(module.partition(".")[0])
    except ValueError:  # a module without a spec, as `__main__` is in a script
        return None


def edited(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the files whose content differs, or that only one of the two sources has."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _with_neighbours(file: Path) -> list[Path]:
    """Return the file and what it imports of its own folder, directly or not."""
    waiting, known = [file], {file}
    while waiting:
        for name in _imported(waiting.pop()):
            beside = file.parent / f"{name}.py"
            if beside not in known and beside.is_file():
                known.add(beside)
                waiting.append(beside)
    return sorted(known)


def _imported(file: Path) -> Iterator[str]:
    """Yield the top-level names that the file imports; none if it is no Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_NUM_DIGITS]
