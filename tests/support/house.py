"""The house in figures: rooms, floors, arrows, circles, lines and tests, of this tree or another.

    python tests/support/house.py [FOLDER]

Rooms are the direct children of a package; an arrow is one room that imports another; floors are
the rooms of the longest chain of arrows. Imports for types and lazy ones count like any other.
"""

import argparse
import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tune", "trainables", "search_spaces", "cluster", "benchmarks")

Graph = Mapping[str, set[str]]
"""Names, and the names that each of them imports."""


def modules(root: Path) -> dict[str, Path]:
    """Return the files of the packages by the dotted names of their modules."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """Return which module imports which; `from package import module` imports the module."""
    known = modules(root)
    return {
        name: {found for found in _imported(path, known) if found != name}
        for name, path in known.items()
    }


def _imported(path: Path, known: Mapping[str, Path]) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of names that import each other, directly or through others."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph
    }
    return sorted(list(group) for group in groups if group)


def _reached(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph[name])
    return reached


def rooms(graph: Graph, package: str) -> dict[str, set[str]]:
    """Return which room of a package imports which; `__init__` is none."""
    inside = {name: _room(name, package) for name in graph}
    found: dict[str, set[str]] = {room: set() for room in inside.values() if room}
    for name, imported in graph.items():
        if room := inside[name]:
            found[room] |= {inside[other] for other in imported} - {room, ""}
    return found


def _room(name: str, package: str) -> str:
    """Return the first name below the package, "" for what is not in one of its rooms."""
    prefix = f"{package}."
    return name.removeprefix(prefix).partition(".")[0] if name.startswith(prefix) else ""


def floors(graph: Graph) -> int:
    """Return how many names the longest chain of imports has; a circle is one floor."""
    together = {name: tuple(group) for group in circles(graph) for name in group}

    def height(name: str, above: frozenset[str]) -> int:
        group = together.get(name, (name,))
        below = {other for one in group for other in graph[one]} - set(group) - above
        return 1 + max((height(other, above | set(group)) for other in below), default=0)

    return max(height(name, frozenset()) for name in graph)


def num_tests(root: Path) -> int:
    """Return how many test functions there are."""
    return sum(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for path in (root / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT)
    root = parser.parse_args().folder
    graph, files = imports(root), modules(root)
    print(f"{'':14} rooms floors arrows circles  files  lines")
    for package in ("tune", "cluster"):
        inside = rooms(graph, package)
        own = {name: others for name, others in graph.items() if _room(name, package)}
        own = {name: {other for other in others if other in own} for name, others in own.items()}
        lines = sum(len(files[name].read_text().splitlines()) for name in own)
        num_circles = f"{len(circles(inside))}/{len(circles(own))}"
        arrows = sum(map(len, inside.values()))
        print(
            f"{package:14} {len(inside):5} {floors(inside):6} {arrows:6} {num_circles:>7} "
            f"{len(own):6} {lines:6}"
        )
        for group in circles(inside):
            print(f"  circle of rooms: {', '.join(group)}")
        for group in circles(own):
            print(f"  circle of modules: {', '.join(group)}")
    lines = sum(len(path.read_text().splitlines()) for path in files.values())
    print(f"all packages: {len(files)} files, {lines} lines; {num_tests(root)} test functions")


if __name__ == "__main__":
    main()
