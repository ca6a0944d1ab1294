"""Compare what searches claim with the truth: python -m benchmarks.truth"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.truth import alarms, real, runs, simulated
from cluster import cli


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateNeighbours:
    """Run searches on a simulated machine whose truth is known; print the table."""

    searches: int = 60
    """Searches beside each neighbour."""
    landscape: str = "phase1-2cpu"
    """The recorded landscape that the machine has."""
    max_time: float = simulated.MAX_TIME_S
    """The seconds of a search."""
    slower: float = 1.0
    """The machine takes this many times as long for everything."""
    cross_validate: bool = False
    """Hold each neighbour out in turn, choose the rule on the others, and judge it on that one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordSearches:
    """Run real searches beside real neighbours; the same command again goes on.

    Nothing else may run on this machine.
    """

    out: Path = real.RECORDS / "2cpu.json"
    """The file to write."""
    minutes: float = 60.0
    """Time for everything; the search in hand is finished."""
    tasks: tuple[str, ...] = tuple(real.TASKS)
    """Tasks to search: phase1, torch."""
    repeats: int = 5
    """Searches of each task beside each neighbour."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowSearches:
    """Print the table of recorded searches, as Markdown."""

    files: tyro.conf.Positional[tuple[Path, ...]] = (real.RECORDS / "2cpu.json",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowAlarms:
    """Print which alarms beside nobody were false, as Markdown."""

    file: tyro.conf.Positional[Path] = real.RECORDS / "2cpu.json"
    """The recorded searches."""


_Command = (
    Annotated[SimulateNeighbours, tyro.conf.subcommand("simulate")]
    | Annotated[RecordSearches, tyro.conf.subcommand("record")]
    | Annotated[ShowSearches, tyro.conf.subcommand("show")]
    | Annotated[ShowAlarms, tyro.conf.subcommand("alarms")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    command: SimulateNeighbours | RecordSearches | ShowSearches | ShowAlarms = tyro.cli(
        _Command, args=arguments, prog="python -m benchmarks.truth", description=__doc__
    )
    if isinstance(command, SimulateNeighbours):
        scene = simulated.scene_of(command.landscape, command.slower)
        show = simulated.show_cross_validation if command.cross_validate else simulated.show
        show(scene, command.searches, command.max_time)
    elif isinstance(command, RecordSearches):
        real.record(
            command.out, minutes=command.minutes, tasks=command.tasks, repeats=command.repeats
        )
    elif isinstance(command, ShowAlarms):
        alarms.show(command.file)
    else:
        for path in command.files:
            runs.show(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
