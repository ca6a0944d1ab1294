"""Measure what only a card can tell: python -m benchmarks.gpu"""

import dataclasses
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.gpu import bench as benches
from benchmarks.gpu import (
    deaths,
    language_model,
    memory,
    neighbours,
    recording,
    search,
    show,
    speed,
    surface,
)
from benchmarks.gpu.bench import Bench, OutOfTime
from benchmarks.gpu.recording import CardRecord
from cluster import cli
from cluster.errors import UserError
from cluster.node import hardware, limits, thread_env
from cluster.structure import destructure

PARTS: dict[str, Callable[[Bench], None]] = {
    search.SEARCH: search.measure,
    memory.MEMORY: memory.measure,
    deaths.DEATHS: deaths.measure,
    speed.SPEEDS: speed.measure,
    neighbours.BESIDE: neighbours.measure,
    speed.LEVERS: speed.measure_levers,
    speed.COMPILING: speed.measure_compiling,
    language_model.LANGUAGE_MODEL: language_model.measure,
    speed.POLLING: speed.measure_polling,
    surface.LANDSCAPE: surface.measure,
}
"""In the order of their worth; the landscape takes all the time that is left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureCard:
    """Measure this machine's card; the same command again goes on."""

    minutes: float = 25.0
    """Time for everything."""
    out: Path | None = None
    """The file to write, and to go on with; default benchmarks/gpu/<class>.json."""
    only: tuple[str, ...] = ()
    """Parts to measure, of all."""
    rehearse: bool = False
    """Small sizes on the CPU: shows that every part runs, and says nothing about a card."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowCards:
    """Print the tables of what was measured, as Markdown."""

    files: tyro.conf.Positional[tuple[Path, ...]]


_Command = (
    Annotated[MeasureCard, tyro.conf.subcommand("measure")]
    | Annotated[ShowCards, tyro.conf.subcommand("show")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] not in (["measure"], ["show"], ["-h"], ["--help"]):
        given.insert(0, "measure")
    return cli.run(lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    command: MeasureCard | ShowCards = tyro.cli(
        _Command,
        args=arguments,
        prog="python -m benchmarks.gpu",
        description="Measure what only a card can tell.",
    )
    if isinstance(command, MeasureCard):
        measure(command)
        return 0
    for path in command.files:
        record = recording.read(path)
        if record is None:
            raise UserError(f"{path}: there is no such file.")
        print("\n".join(show.lines(record)))
    return 0


def measure(command: MeasureCard) -> None:
    """Measure every part that is wanted and not done, while there is time.

    Raises:
        UserError: if there is no GPU, or the file is of another machine.
    """
    if unknown := sorted(set(command.only) - PARTS.keys()):
        raise UserError(f"--only {' '.join(unknown)}: the parts are {', '.join(PARTS)}.")
    bench = _open(command)
    for name in command.only or PARTS:
        part = bench.record.part(name)
        if part.is_done:
            print(f"{name}: done before.", flush=True)
            continue
        print(f"{name}: {bench.left_s:.0f} s are left.", flush=True)
        started = time.monotonic()
        try:
            PARTS[name](bench)
            part.is_done = name == deaths.DEATHS or all(
                map(recording.is_measured, part.rows.values())
            )
        except OutOfTime as error:
            print(f"  not finished: {error}", flush=True)
        except Exception as error:  # noqa: BLE001  # the machine is lent: other parts go on
            traceback.print_exc()
            bench.cannot(name, f"ended by {error!r}")
        part.wall_s = round(part.wall_s + time.monotonic() - started, 1)
        recording.write(bench.out, bench.record)
    print(f"{bench.out}; read it with: python -m benchmarks.gpu show {bench.out}")
    print(f"logs: {bench.folder}")


def _open(command: MeasureCard) -> Bench:
    machine = hardware.probe()
    if not machine.gpus and not command.rehearse:
        raise UserError("no GPU: NVML, the NVIDIA driver, shows none; --rehearse needs none.")
    name = hardware.machine_class(machine)
    out = command.out or Path("benchmarks") / "gpu" / f"{name}.json"
    record = recording.read(out) or CardRecord(
        machine=json.loads(json.dumps(destructure(machine))),
        machine_class=name,
        rehearsed=command.rehearse,
    )
    if (record.machine_class, record.rehearsed) != (name, command.rehearse):
        raise UserError(f"{out} is of {record.machine_class}; choose another --out.")
    allowed = len(limits.cpus().allowed)
    cap = min(2 if command.rehearse else thread_env.DEFAULT_CAP, allowed)
    return Bench(
        record=record,
        out=out,
        deadline=time.monotonic() + 60 * command.minutes,
        platform="cpu" if command.rehearse else "cuda",
        thread_cap=cap,
        folder=benches.temporary_folder(),
        say=lambda text: print(text, flush=True),
        num_side_by_side=max(1, min(4, allowed // cap)),
    )


if __name__ == "__main__":
    sys.exit(main())
