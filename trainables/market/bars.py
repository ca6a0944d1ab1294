"""Price bars: read from CSV or Parquet, validated, and hashed. NumPy and pyarrow only, no jax.

The parent process reads the file with this module before any trial starts, so that a bad file is
refused with one clear sentence. Each trial reads it again.
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from trainables.workload import WorkloadInputError

MIN_BARS = 256
"""Least bars of a file: the slowest indicator's warm-up, one window, and some bars to trade."""

PRICES = ("open", "high", "low", "close")
ALIASES = {
    "timestamp": ("timestamp", "datetime", "date_time", "time", "date", "gmt time", "local time"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "tick_volume", "tickvol", "tick volume", "real_volume"),
}
"""Accepted column names, best first; case, surrounding spaces and MetaTrader's <> do not matter."""

TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%d.%m.%Y %H:%M:%S.000",  # Dukascopy
    "%d.%m.%Y %H:%M:%S",
    "%Y%m%d %H%M%S",
    "%Y%m%d",
)
"""Formats of text timestamps, beside ISO 8601. None has slashes: 03/04 can be two dates."""

_EARLIEST_EPOCH_S = 1e8  # March 1973; a smaller number is no time since 1970


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Price bars in time order, as they were read; never NaN.

    time: [num_bars] datetime64[ms], UTC, strictly increasing.
    open, high, low, close, volume: [num_bars] float64.
    source: where they came from, in words for a person.
    """

    time: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.time)

    def sha256(self) -> str:
        """Hash of the values: the same for the same bars, whatever file format they came in."""
        digest = hashlib.sha256(self.time.astype("datetime64[ms]").astype("<i8").tobytes())
        for name in (*PRICES, "volume"):
            digest.update(getattr(self, name).astype("<f8").tobytes())
        return digest.hexdigest()


def load_bars(path: str | pathlib.Path) -> Bars:
    """Read a CSV or Parquet file of bars and validate every row.

    Timestamps: ISO 8601, one of `TIME_FORMATS`, or seconds, milliseconds, microseconds or
    nanoseconds since 1970. Naive ones are UTC.

    Raises:
        WorkloadInputError: what is wrong, in which row and column (rows count from 1, without the
            header), and what to do.
    """
    path = pathlib.Path(path)
    table = _read_table(path)
    columns = _find_columns(table.column_names, path.name)
    values = {
        name: _to_floats(table[column], column)
        for name, column in columns.items()
        if name != "timestamp"
    }
    time = _to_times(table[columns["timestamp"]], columns["timestamp"])
    bars = Bars(time=time, source=path.name, **values)
    _validate(bars, columns)
    return bars


def _read_table(path: pathlib.Path) -> pa.Table:
    if not path.is_file():
        raise WorkloadInputError(f"there is no file {path}; give a CSV or Parquet file of bars.")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _join_date_and_time(pyarrow.parquet.read_table(path, use_threads=False))
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        delimiter = max(",;\t", key=header.count)
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(use_threads=False),  # threads are what we ration
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        )
        return _join_date_and_time(table)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise WorkloadInputError(
            f"{path.name} is not a readable CSV or Parquet file: {reason}"
        ) from error


def _join_date_and_time(table: pa.Table) -> pa.Table:
    """Join the day and the time of day, which MetaTrader and others write as two columns."""
    names = {_plain(name): name for name in table.column_names}
    if not {"date", "time"} <= names.keys():
        return table
    day, clock = (table[names[name]].cast(pa.string()) for name in ("date", "time"))
    return table.drop_columns([names["date"], names["time"]]).append_column(
        "timestamp", pc.binary_join_element_wise(day, clock, " ")
    )


def _plain(name: str) -> str:
    return name.strip().strip("<>").strip().lower()


def _find_columns(names: list[str], file: str) -> dict[str, str]:
    """Map our column names to the file's."""
    known = {_plain(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for name, aliases in ALIASES.items():
        match = next((known[alias] for alias in aliases if alias in known), None)
        if match is None:
            raise WorkloadInputError(
                f"{file} has no {name} column: its columns are {', '.join(names)}; "
                f"name one of them {' or '.join(aliases[:3])}."
            )
        found[name] = match
    return found


def _to_floats(column: pa.ChunkedArray, name: str) -> np.ndarray:
    try:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row, value = _first_non_number(column)
        raise WorkloadInputError(
            f"column {name}, row {row}: {value!r} is not a number; correct or drop the row."
        ) from error


def _first_non_number(column: pa.ChunkedArray) -> tuple[int, Any]:
    """Return the first row (counted from 1) that is no number, and its value."""
    for row, value in enumerate(column.to_pylist(), start=1):
        try:
            float(value)
        except (ValueError, TypeError):
            return row, value
    return 1, column[0].as_py()


def _to_times(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """[num_bars] datetime64[ms] UTC of a column of timestamps, dates, numbers or text."""
    if column.null_count:
        row = int(np.argmax(np.asarray(column.is_null()))) + 1
        raise WorkloadInputError(f"column {name}, row {row}: the timestamp is missing; fill it in.")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = np.asarray(column.to_numpy(), dtype=np.float64)
        if numbers.min(initial=np.inf) >= _EARLIEST_EPOCH_S:
            return _from_epoch(numbers)
        column = column.cast(pa.string())  # 20240131: a day written as one number
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parse_times(column.cast(pa.string()), name)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise WorkloadInputError(
            f"column {name} holds {column.type}, not timestamps; write them as ISO 8601."
        )
    return np.asarray(column.to_numpy()).astype("datetime64[ms]")  # with a zone: UTC already


def _from_epoch(numbers: np.ndarray) -> np.ndarray:
    """Infer the unit from the size: 1e11 seconds lie in the year 5138, 1e11 ms in 1973."""
    largest = float(numbers.max())
    limits = ((1e11, 1e3), (1e14, 1.0), (1e17, 1e-3))
    to_ms = next((factor for limit, factor in limits if largest < limit), 1e-6)
    return np.round(numbers * to_ms).astype("datetime64[ms]")


def _parse_times(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Parse text by the first format that fits the first row; it must fit all the others."""
    row = 0
    for time_format in TIME_FORMATS:
        options = {"format": time_format, "unit": "ms", "error_is_null": True}
        if pc.strptime(column.slice(0, 1), **options).null_count:
            continue
        parsed = pc.strptime(column, **options)
        if not parsed.null_count:
            return parsed
        row = int(np.argmax(np.asarray(parsed.is_null())))
        break
    raise WorkloadInputError(
        f"column {name}, row {row + 1}: {column[row].as_py()!r} is not a timestamp we can read "
        "without guessing; write all of them as 2024-01-31 14:30:00, or as seconds since 1970."
    )


def _validate(bars: Bars, columns: dict[str, str]) -> None:
    for name in (*PRICES, "volume"):
        values = getattr(bars, name)
        column = columns[name]
        _refuse(~np.isfinite(values), column, "the value is missing or not finite", values)
        if name == "volume":
            _refuse(values < 0, column, "the volume is negative", values)
        else:
            _refuse(values <= 0, column, "the price is not positive", values)
    low, high = columns["low"], columns["high"]
    _refuse(bars.high < bars.low, high, f"{high} is below {low} ({{low}})", bars.high, low=bars.low)
    step = np.diff(bars.time).astype(np.int64)
    column = columns["timestamp"]
    _refuse(np.r_[False, step == 0], column, "the time is the same as the row before", bars.time)
    _refuse(np.r_[False, step < 0], column, "the time is before the row above; sort", bars.time)
    if len(bars) < MIN_BARS:
        raise WorkloadInputError(
            f"{bars.source} has {len(bars)} rows, an episode needs at least {MIN_BARS}; "
            "give a longer history."
        )


def _refuse(
    bad: np.ndarray, column: str, reason: str, values: np.ndarray, **others: np.ndarray
) -> None:
    """Raise for the first bad row, naming it, its column and its value."""
    if bad.any():
        row = int(np.argmax(bad))
        reason = reason.format(**{name: other[row] for name, other in others.items()})
        raise WorkloadInputError(
            f"column {column}, row {row + 1}: {reason}, got {values[row]}; "
            f"correct or drop the row ({int(bad.sum())} like it)."
        )
