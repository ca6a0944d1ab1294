"""Time and memory of loading bars: python -m benchmarks.bars [--against FOLDER] [--rounds 3]

Files of two million minutes are read by `trainables.market.bars.load_bars` in fresh processes, and
in turn by the checkout in FOLDER, if one is named: seconds of the load, and the process's peak of
resident memory. What makes features of the bars afterwards is not in it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from benchmarks.markdown import row

_ROOT = Path(__file__).parent.parent
_PROGRAM = """
import resource, sys, time
from trainables.market.bars import load_bars
started = time.perf_counter()
load_bars(sys.argv[1])
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_TEXTS: dict[str, Callable[[np.ndarray], pa.Array]] = {
    "CSV, ISO 8601": lambda time: pa.array(time.astype("datetime64[s]")).cast(pa.string()),
    "CSV, ISO 8601 with Z": lambda time: _formatted(time, "%Y-%m-%dT%H:%M:%SZ"),
    "CSV, milliseconds since 1970": lambda time: pa.array(time.astype(np.int64)),
    "CSV, 31.01.2024 14:30:00.000": lambda time: _formatted(time, "%d.%m.%Y %H:%M:%S"),
    "CSV, 2024.01.31 14:30": lambda time: _formatted(time, "%Y.%m.%d %H:%M"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, to compare with")
    options = parser.parse_args()
    checkouts = [_ROOT, *([options.against] if options.against else [])]
    names = ["file", *(f"{what}, {where}" for where in ("here", "there")[: len(checkouts)]
                       for what in ("s", "peak MiB"))]  # fmt: skip
    print(row([*names, *(["s here / there"] if options.against else [])]))
    print(row(["---", *["---:"] * (len(names) - 1 + bool(options.against))]))
    with tempfile.TemporaryDirectory() as folder:
        for name, path in _write(Path(folder), options.rows):
            rounds = [[_load(root, path) for root in checkouts] for _ in range(options.rounds)]
            print(row([name, *_cells(rounds)]), flush=True)


def _formatted(time: np.ndarray, form: str) -> pa.Array:
    return pc.strftime(pa.array(time.astype("datetime64[s]")), format=form)


def _write(folder: Path, num_rows: int) -> list[tuple[str, Path]]:
    rng = np.random.default_rng(0)
    time = np.datetime64("2018-01-01", "ms") + np.arange(num_rows) * np.timedelta64(60_000, "ms")
    opened = np.round(100 * np.exp(np.cumsum(1e-4 * rng.standard_normal(num_rows))), 2)
    columns = {
        "open": opened,
        "high": np.round(opened + 0.05, 2),
        "low": np.round(opened - 0.05, 2),
        "close": np.round(opened + 0.01, 2),
        "volume": rng.integers(1, 10_000, num_rows),
    }
    files = []
    for number, (name, text) in enumerate(_TEXTS.items()):
        path = folder / f"{number}.csv"
        options = pyarrow.csv.WriteOptions(quoting_style="none")
        pyarrow.csv.write_csv(pa.table({"timestamp": text(time), **columns}), path, options)
        files.append((name, path))
    path = folder / "bars.parquet"
    pyarrow.parquet.write_table(pa.table({"timestamp": time, **columns}), path)
    return [*files, ("Parquet", path)]


def _load(root: Path, path: Path) -> tuple[float, float] | None:
    """Return seconds and peak MiB of a load, `None` where the file was refused."""
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path)],
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        return None
    seconds, peak = ended.stdout.split()
    return float(seconds), float(peak)


def _cells(rounds: list[list[tuple[float, float] | None]]) -> list[str]:
    cells, seconds = [], []
    for loads in zip(*rounds, strict=True):
        read = [load for load in loads if load is not None]
        if not read:
            cells += ["refused", ""]
            continue
        seconds.append([load[0] for load in read])
        peak = statistics.median(load[1] for load in read)
        cells += [f"{statistics.median(seconds[-1]):.2f}", f"{peak:.0f}"]
    if len(rounds[0]) == 2:
        pairs = zip(*seconds, strict=True) if len(seconds) == 2 else ()
        ratios = [ours / theirs for ours, theirs in pairs]
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
    return cells


if __name__ == "__main__":
    main()
