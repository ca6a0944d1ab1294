"""Landscapes of GPUs, modelled: no card is needed, and none was used.

    pip install -e .[cuda13,test]
    python -m benchmarks.modelled compile --workload physics --card L4
    python -m benchmarks.modelled landscapes
    python -m benchmarks.modelled rates

`compile` compiles a grid for a card that is not here, and writes what each program would do on it;
the same command again goes on. `landscapes` turns these files into speeds and writes
benchmarks/landscapes/model-*.json. `rates` prints what the model makes of programs whose speed an
H100 has shown; after a new record `compile-seen` compiles them.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from benchmarks import markdown, recorded
from benchmarks.modelled import programs, seen, speeds
from benchmarks.modelled.programs import CompileGrid
from benchmarks.modelled.roofline import fit, left_out
from benchmarks.modelled.seen import CompileSeen
from benchmarks.search_runs import FOLDER
from cluster import cli


@dataclasses.dataclass(frozen=True, kw_only=True)
class WriteLandscapes:
    """Write the landscape of each grid that was compiled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowRates:
    """Print the fitted rates, and the model beside what was measured."""


ModelCommand = (
    Annotated[CompileGrid, tyro.conf.subcommand("compile")]
    | Annotated[CompileSeen, tyro.conf.subcommand("compile-seen")]
    | Annotated[WriteLandscapes, tyro.conf.subcommand("landscapes")]
    | Annotated[ShowRates, tyro.conf.subcommand("rates")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    command: CompileGrid | CompileSeen | WriteLandscapes | ShowRates = tyro.cli(
        ModelCommand, args=arguments, prog="python -m benchmarks.modelled", description=__doc__
    )
    match command:
        case CompileGrid():
            programs.compile_grid(command)
        case CompileSeen():
            seen.compile_seen(command)
        case WriteLandscapes():
            rates = fit(seen.observed())
            for path in sorted(programs.PROGRAMS.glob("*.json")):
                made = speeds.landscape(programs.read(path), rates)
                recorded.write(FOLDER / f"model-{path.name}", made)
        case ShowRates():
            print(_rates())
    return 0


def _rates() -> str:
    found = seen.observed()
    rates = fit(found)
    lines = [
        f"{rates.launch_s * 1e6:.2f} us per launch, {rates.efficiency:.0%} of the data sheet\n",
        markdown.row(["program", "launches", "GB", "measured, ms", "model", "fitted without it"]),
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one, error in zip(found, left_out(found), strict=True):
        cells = [
            one.program,
            f"{one.work.launches:,}",
            f"{one.work.bytes / 1e9:.1f}",
            f"{1000 * one.update_s:.1f}",
            f"{rates.update_s(one.work) / one.update_s - 1.0:+.1%}",
            f"{error:+.1%}",
        ]
        lines.append(markdown.row(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
