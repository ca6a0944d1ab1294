"""The cost of reading a command's lines, to the command: python -m benchmarks.reader [--pairs 8]

A program multiplies matrices and prints a line after each of its updates. It runs with its output
thrown away, and as `tune.command` runs it, in turn. Its own updates per second are compared.
"""

import argparse
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
_SECONDS = 4.0
_SIZES = {"60": 60, "300": 300}
_READING = Reading(kind=ReadingKind.COUNT, pattern=r"^update (\d+)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=8)
    num_pairs = parser.parse_args().pairs
    print(row(("rows of the matrices", "lines/s", "read / thrown away, median", "least", "most")))
    print(row(("---:", "---:", "---:", "---:", "---:")))
    for name, size in _SIZES.items():
        pairs = [(_thrown_away(size), _read(size)) for _ in range(num_pairs)]
        ratios = sorted(read / alone for alone, read in pairs)
        lines = statistics.median(alone for alone, _ in pairs)
        figures = (statistics.median(ratios), ratios[0], ratios[-1])
        print(row((name, f"{lines:,.0f}", *(f"{ratio:.3f}" for ratio in figures))), flush=True)


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


def _read(size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path, meter = Path(folder, "speed"), Meter(_READING, {})
        log = os.dup(sys.stdout.fileno())
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())  # the trial's log is its stdout
        try:
            with RunningCommand(_arguments(size, path), Path(folder), _environment()) as running:
                _follow(running, meter)
        finally:
            os.dup2(log, sys.stdout.fileno())
            os.close(log)
        return float(path.read_text())


def _follow(running: RunningCommand, meter: Meter) -> None:
    try:
        for line, now in running.lines():
            if line is not None:
                meter.hear(line, now)
    except CommandEnded:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
