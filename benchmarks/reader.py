"""The cost of reading a command's lines, to the command: python -m benchmarks.reader [--pairs 80]

A program multiplies matrices and prints a line after each of its updates. It runs with its output
thrown away, and as `tune.command` runs it, in turn, for a second each: a machine changes its pace
over longer times. Its own updates per second are compared: the median of the pairs' ratios, with
its bootstrap 95 % interval. Beside it stands what the reader itself took of one CPU.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.markdown import row
from trainables.command.readings import Meter, Reading, ReadingKind
from trainables.command.running import CommandEnded, RunningCommand
from trainables.throughput import median_interval

_PROGRAM = """
import sys, time
import numpy
seconds, size, path = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
matrix = numpy.random.default_rng(0).random((size, size))
started, done = time.perf_counter(), 0
while time.perf_counter() - started < seconds:
    matrix @ matrix
    done += 1
    print("update", done, "SPS:", int(done / (time.perf_counter() - started)), "loss: 0.123456789")
open(path, "w").write(str(done / (time.perf_counter() - started)))
"""
_SECONDS = 1.0
_SIZES = (1000, 300, 60)
"""Rows of the matrices."""
_READING = Reading(kind=ReadingKind.COUNT, pattern=r"^update (\d+)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=80)
    num_pairs = parser.parse_args().pairs
    print(row(("lines/s", "read / thrown away", "95 % interval", "the reader's CPU")))
    print(row(("---:", "---:", "---:", "---:")))
    for size in _SIZES:
        pairs = [_pair(size, reads_first=number % 2 == 1) for number in range(num_pairs)]
        ratios = [pair.read / pair.alone for pair in pairs]
        lines = statistics.median(pair.alone for pair in pairs)
        low, high = median_interval(ratios)
        share = statistics.median(pair.reader_cpus for pair in pairs)
        ratio = f"{statistics.median(ratios):.3f}"
        print(row((f"{lines:,.0f}", ratio, f"{low:.3f} to {high:.3f}", f"{share:.1%}")), flush=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Updates per second alone and read, and the reader's CPU seconds per second."""

    alone: float
    read: float
    reader_cpus: float


def _pair(size: int, *, reads_first: bool) -> _Pair:
    if reads_first:
        read, cpus = _read(size)
        return _Pair(alone=_thrown_away(size), read=read, reader_cpus=cpus)
    alone = _thrown_away(size)
    read, cpus = _read(size)
    return _Pair(alone=alone, read=read, reader_cpus=cpus)


def _arguments(size: int, path: Path) -> list[str]:
    return [sys.executable, "-u", "-c", _PROGRAM, str(_SECONDS), str(size), str(path)]


def _environment() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def _thrown_away(size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speed")
        subprocess.run(
            _arguments(size, path), env=_environment(), stdout=subprocess.DEVNULL, check=True
        )
        return float(path.read_text())


def _read(size: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        path, meter = Path(folder, "speed"), Meter(_READING, {})
        log = os.dup(sys.stdout.fileno())
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())  # the trial's log is its stdout
        cpu_s = time.process_time()
        try:
            with RunningCommand(_arguments(size, path), Path(folder), _environment()) as running:
                _follow(running, meter)
        finally:
            os.dup2(log, sys.stdout.fileno())
            os.close(log)
        return float(path.read_text()), (time.process_time() - cpu_s) / _SECONDS


def _follow(running: RunningCommand, meter: Meter) -> None:
    try:
        for line, now in running.lines():
            if line is not None:
                meter.hear(line, now)
    except CommandEnded:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
