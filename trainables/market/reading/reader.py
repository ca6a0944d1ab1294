"""The bars of a table: its columns found, one instrument chosen, times and numbers read."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from trainables.market.reading import checks, instruments, times, zones
from trainables.market.reading.arrow_arrays import number_array
from trainables.market.reading.columns import PRICES, Columns, find_columns
from trainables.market.reading.moments import Times
from trainables.market.reading.numbers import to_floats
from trainables.market.reading.rows import CellNames, RowNames
from trainables.market.reading.text import TextTable
from trainables.market.reading.typed import TypedTable
from trainables.workload import WorkloadInputError


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RowsRead:
    """Rows of bars, from old to new, checked.

    time: [num_rows] datetime64[ms] UTC. values: [num_rows] float64 by `PRICES` and "volume".
    zone: by what the times are UTC, `None` if nothing says so. notes: sentences for a person.
    """

    time: np.ndarray
    values: dict[str, np.ndarray]
    zone: str | None
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """The columns at hand by position among `names`, and the names of their rows."""

    found: Columns
    names: Sequence[str]
    data: Mapping[int, pa.ChunkedArray]
    rows: RowNames
    note: str


def read_rows(
    table: TextTable | TypedTable, *, timezone: str | None, symbol: str | None
) -> RowsRead:
    """Read the bars of a table.

    Raises:
        WorkloadInputError: what is wrong, in which row and column, and what to do.
        pyarrow.ArrowException, OSError: if the file is damaged.
    """
    cells = _one_instrument(_read_cells(table, symbol), table, symbol)
    found = cells.found
    if not len(cells.data[found.time]):
        raise WorkloadInputError(f"{table.rows.file} has 0 rows of bars; give a longer history.")
    taken, time_name = _read_times(cells)
    numbers = to_floats(
        {cells.names[i]: cells.data[i] for i in (*found.prices, *found.volumes)},
        cells.rows,
        points_are_decimal=table.points_are_decimal,
    )
    names = {role: cells.names[i] for role, i in zip(PRICES, found.prices, strict=True)}
    names["volume"] = _fullest(numbers, [cells.names[i] for i in found.volumes])
    values = {role: numbers[name] for role, name in names.items()}
    rows, time, notes = cells.rows, taken.values, [cells.note, taken.note]
    if _runs_backwards(time):
        rows = rows.take(np.arange(len(time))[::-1])
        time, values = time[::-1].copy(), {role: one[::-1].copy() for role, one in values.items()}
        notes.append("The file runs from new to old and was turned round.")
    time, zone = _in_utc(taken, time, timezone, rows.of(time_name))
    checks.check_values(values, {role: rows.of(name) for role, name in names.items()})
    checks.check_times(time, rows.of(time_name))
    return RowsRead(time=time, values=values, zone=zone, notes=tuple(filter(None, notes)))


def _read_cells(table: TextTable | TypedTable, symbol: str | None) -> _Cells:
    """Read the columns that are needed, those of one instrument where columns have several."""
    file = table.rows.file
    kept = instruments.columns_of_one(table.tickers, symbol, file)
    names = [table.names[i] for i in kept]
    found = find_columns(names, file)
    texts = [i for i in (found.clock, found.symbol, found.period) if i is not None]
    values = [*found.prices, *found.volumes]
    whole = kept[found.time] if found.clock is None else None
    if whole is None:
        texts.append(found.time)
    read, note = table.read([kept[i] for i in texts], [kept[i] for i in values], time=whole)
    data = {i: read[kept[i]] for i in (found.time, *texts, *values)}
    return _Cells(found=found, names=names, data=data, rows=table.rows, note=note)


def _one_instrument(cells: _Cells, table: TextTable | TypedTable, symbol: str | None) -> _Cells:
    """Keep the rows of one instrument where rows have several, and check for one length of bars."""
    file, found = cells.rows.file, cells.found
    if any(table.tickers):
        return cells
    if found.symbol is None:
        instruments.refuse_symbol_without_names(symbol, file)
        chosen = None
    else:
        name = cells.names[found.symbol]
        chosen = instruments.rows_of_one(cells.data[found.symbol], name, symbol, file)
    if chosen is not None:
        places = number_array(chosen.astype(np.int64), pa.int64())
        data = {i: column.take(places) for i, column in cells.data.items()}
        cells = dataclasses.replace(cells, data=data, rows=cells.rows.take(chosen))
    if found.period is not None:
        period = cells.data[found.period]
        instruments.refuse_several_periods(period, cells.names[found.period], file)
    return cells


def _read_times(cells: _Cells) -> tuple[Times, str]:
    """Return the times and the name of their column.

    Of a column "date" and a column "time", either may hold whole times.
    """
    found, data = cells.found, cells.data
    name = cells.names[found.time] or "without a name"
    if found.clock is None:
        return times.read_times(data[found.time], cells.rows.of(name)), name
    clock_name = cells.names[found.clock]
    if times.is_clock(data[found.clock]):
        day, clock = data[found.time], data[found.clock]
        name = f"{name} with {clock_name}"
        return times.read_day_and_clock(day, clock, cells.rows.of(name)), name
    return times.read_times(data[found.clock], cells.rows.of(clock_name)), clock_name


def _fullest(numbers: Mapping[str, np.ndarray], names: Sequence[str]) -> str:
    """Return the first of the volumes that is not zero all through; the first if all are.

    MetaTrader writes the real volume, which currencies have not, and the number of ticks.
    """
    return next((name for name in names if np.nan_to_num(numbers[name]).any()), names[0])


def _runs_backwards(time: np.ndarray) -> bool:
    """Return whether a file goes from new to old; one row out of place does not matter."""
    steps = np.diff(time)
    zero = np.timedelta64(0, "ms")
    return bool(time[0] > time[-1] and (steps < zero).sum() > (steps > zero).sum())


def _in_utc(
    taken: Times, time: np.ndarray, timezone: str | None, cells: CellNames
) -> tuple[np.ndarray, str | None]:
    """Return [num_rows] datetime64[ms] UTC, and by what they are; `None` if nothing says so."""
    if timezone is not None and (taken.is_utc or taken.zone is not None):
        raise WorkloadInputError(
            f"--timezone {timezone} is for times without a zone, and column {cells.column} says "
            f"what is UTC ({taken.zone or 'an offset, a zone, or a count since 1970'}); leave it "
            "out."
        )
    if taken.is_utc:
        return time, "UTC"
    zone = taken.zone or timezone
    if zone is None:
        return time, None
    return zones.zone_to_utc(time, zone, cells), zone
