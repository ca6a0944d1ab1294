"""Arrow's arrays and NumPy's without pandas, against pyarrow's own ways."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from places import ROOT
from trainables.market.reading.arrow_arrays import number_array, numpy_of, text_array

COLUMNS = {
    "floats": pa.array([1.5, None, float("nan"), -2.0]),
    "whole floats": pa.array([1.5, 2.5, 3.5, 4.5]),
    "int64": pa.array([1, -2, 3, 2**62]),
    "int64 with a gap": pa.array([1, None, 3, 4]),
    "int32": pa.array([1, -2, 3, 4], pa.int32()),
    "bool": pa.array([True, False, True, True]),
    "bool with a gap": pa.array([True, None, True, False]),
    "ms": pa.array([1, None, 3, 10**12], pa.timestamp("ms")),
    "s, UTC": pa.array([1, 2, 3, 4], pa.timestamp("s", "UTC")),
    "ns": pa.array([1, 2, 3, 4], pa.timestamp("ns")),
    "duration": pa.array([1, 2, None, 4], pa.duration("ms")),
    "text": pa.array(["a", None, "c", "d"]),
    "date": pa.array([1, 2, 3, 4], pa.date32()),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("form", ["array", "slice", "chunked", "one chunk", "empty"])
def test_numpy_has_what_pyarrow_would_give(name: str, form: str) -> None:
    column: pa.Array | pa.ChunkedArray = COLUMNS[name]
    if form == "slice":
        column = column.slice(1, 2)
    if form == "chunked":
        column = pa.chunked_array([column.slice(1), column, column.slice(0, 3)])
    if form == "one chunk":
        column = pa.chunked_array([column.slice(1)])
    if form == "empty":
        column = column.slice(0, 0)
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    expected = np.asarray(whole.to_numpy(zero_copy_only=False))
    found = numpy_of(column)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_text_and_numbers_become_arrays() -> None:
    cells = ["a", "", "é\u202f", "d\x00"]
    assert text_array(cells).to_pylist() == cells
    assert text_array([]).to_pylist() == []
    times = np.array(["2024-01-01", "2024-01-02"], "datetime64[ms]")[::-1]
    made = number_array(times, pa.timestamp("ms"))
    assert made.equals(pa.array(times))


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_reading_bars_imports_no_pandas(tmp_path: Path, name: str) -> None:
    time = np.datetime64("2024-01-01", "ms") + np.arange(3000) * np.timedelta64(60_000, "ms")
    table = pa.table(
        {"time": time, **{n: np.full(3000, 1.5) for n in ("open", "high", "low", "close")}}
    ).append_column("volume", pa.array(np.ones(3000)))
    if name.endswith("csv"):
        import pyarrow.csv

        pyarrow.csv.write_csv(table, tmp_path / name)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, tmp_path / name)
    program = (
        "import sys; from trainables.market.bars import load_bars; "
        "print(len(load_bars(sys.argv[1])), 'pandas' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / name)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == ["3000", "False"]
