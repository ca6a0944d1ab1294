"""Times that are numbers: digits of the calendar, or a count since 1970. NumPy only, pure.

The unit of a count is that in which all times lie between 1900 and tomorrow and the bars are of a
plausible length. Digits of the calendar go first: 20240102143000 is also a count, of the year 2611.
"""

import datetime

import numpy as np

from trainables.market.reading.moments import Times
from trainables.market.reading.rows import CellNames
from trainables.workload import WorkloadInputError

_EARLIEST_YEAR, _LATEST_YEAR = 1900, 2100
_MS_OF = {"minutes": 60_000.0, "seconds": 1e3, "milliseconds": 1.0, "microseconds": 1e-3,
          "nanoseconds": 1e-6}  # fmt: skip
_PER_ROW = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_DAY_MS = 86_400_000.0
_LEAST_OLD_STEP_MS = 20 * 3_600_000.0  # before 1980 there are but daily bars; 4 h less for a clock
_LONGEST_MINUTE_STEP_MS = 31 * _DAY_MS
_LEAST_STEP_MS = 1e3
_SAMPLE_ROWS = 1000
_OLD_MS = 10 * 365.25 * _DAY_MS
_EARLIEST_MS = -70 * 365.25 * _DAY_MS
_FIELDS = {8: (8,), 10: (8, 2), 12: (8, 2, 2), 14: (8, 2, 2, 2), 17: (8, 2, 2, 2, 3)}
_MOSTLY = 0.9


def from_calendar(numbers: np.ndarray, cells: CellNames) -> Times | None:
    """Return the times, without a zone, of int64 like 20240102 or 202401021430.

    `None` if these are no digits of the calendar.

    Raises:
        WorkloadInputError: if most of them are, and one is no day; or if years have two digits.
    """
    if not len(numbers) or numbers.min() <= 0:
        return None
    width = len(str(int(np.median(numbers[:_SAMPLE_ROWS]))))
    if width not in _FIELDS:
        _refuse_other_orders(numbers, cells)
        return None
    time, good = _calendar(numbers, width)
    if good.all():
        return Times(values=time, is_utc=False)
    if good.mean() >= _MOSTLY:
        like = int(numbers[np.argmax(good)])
        cells.refuse_first(~good, f"no time of the calendar, unlike {like}", got=numbers)
    _refuse_other_orders(numbers, cells)
    return None


def _calendar(numbers: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of numbers of so many digits, and which of them are of the calendar."""
    rest = numbers
    parts = []
    for digits in reversed(_FIELDS[width][1:]):
        rest, part = np.divmod(rest, 10**digits)
        parts.append(part)
    clock = [*reversed(parts), 0, 0, 0, 0][:4]
    hour, minute, second, millisecond = (np.asarray(part) for part in clock)
    year, month, day = rest // 10_000, rest // 100 % 100, rest % 100
    good = (year >= _EARLIEST_YEAR) & (year < _LATEST_YEAR) & (month >= 1) & (month <= 12)
    good &= (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    safe = np.where(good, year, 1970), np.where(good, month, 1), np.where(good, day, 1)
    months = ((safe[0] - 1970) * 12 + safe[1] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (safe[2] - 1)
    good &= days.astype("datetime64[M]") == months
    clock_ms = ((hour * 60 + minute) * 60 + second) * 1000 + millisecond
    return days.astype("datetime64[ms]") + np.asarray(clock_ms).astype("timedelta64[ms]"), good


def _refuse_other_orders(numbers: np.ndarray, cells: CellNames) -> None:
    """Refuse 2401021430 and 02012024143000, which are counts since 1970 by their size, too.

    Counts do not keep below 24 hours, 60 minutes and 60 seconds in all their rows.
    """
    few = numbers[:_SAMPLE_ROWS]  # mostly these tell, and spare the others
    for pairs in (0, 2, 3):
        if not _has_other_order(few, pairs) or not _has_other_order(numbers, pairs):
            continue
        raise WorkloadInputError(
            f"{cells.name(0)}: {int(numbers[0])} looks like a date whose year "
            "has two digits or stands last, in an order that cannot be told; write "
            "2024-01-31 14:30:00."
        )


def _has_other_order(numbers: np.ndarray, pairs: int) -> bool:
    """Return whether all are dates of such an order, and then so many pairs of clock digits."""
    good = np.ones(len(numbers), bool)
    for place, limit in zip(range(pairs - 1, -1, -1), (24, 60, 60), strict=False):
        good &= numbers // 100**place % 100 < limit
    date = numbers // 100**pairs
    middle = date // 100 % 100
    short = (date < 10**6) & (date >= 10**4) & (date % 100 >= 1) & (middle >= 1) & (middle < 32)
    year = date % 10_000
    last = (date >= 10**6) & (date < 10**8) & (year >= _EARLIEST_YEAR) & (year < _LATEST_YEAR)
    return bool((good & (short | last)).all())


def from_count(numbers: np.ndarray, cells: CellNames) -> Times:
    """Return the times in UTC of float64 counts since 1970, with a note on mixed units.

    The unit is one for all rows, or that of each row where files of two units were joined.

    Raises:
        WorkloadInputError: if no unit makes bars of the numbers, or more than one does.
    """
    cells.refuse_first(~np.isfinite(numbers), "the timestamp is missing or not finite", got=numbers)
    latest_ms = _tomorrow_ms()
    units = _units_of_rows(numbers, latest_ms)
    if (units >= 0).all():
        return _per_row(numbers, units, cells)
    plausible = [unit for unit in _MS_OF if _is_plausible(numbers * _MS_OF[unit], unit, latest_ms)]
    if len(plausible) > 1:
        raise WorkloadInputError(
            f"column {cells.column}: its numbers ({numbers[0]:.0f} in {cells.rows.name(0)}) can be "
            f"{' or '.join(plausible)} since 1970; write 2024-01-31 14:30:00."
        )
    if not plausible:
        raise _not_times(numbers, units, cells)
    return _utc(numbers * _MS_OF[plausible[0]])


def _is_plausible(times_ms: np.ndarray, unit: str, latest_ms: float) -> bool:
    """Return whether bars may have these times: the range, and the length of most bars."""
    if not len(times_ms) or times_ms.min() < _EARLIEST_MS or times_ms.max() > latest_ms:
        return False
    steps = np.abs(np.diff(times_ms))
    moves = steps > 0  # the same time twice is refused elsewhere
    usual = float(np.median(steps[moves])) if moves.any() else None
    if usual is not None and usual < _LEAST_STEP_MS:
        return False
    if unit == "minutes" and (usual is None or usual > _LONGEST_MINUTE_STEP_MS):
        return False
    if times_ms.min() >= _OLD_MS:
        return True
    if unit == "minutes" or usual is None or usual < _LEAST_OLD_STEP_MS:
        return False
    is_old = moves & (np.minimum(times_ms[:-1], times_ms[1:]) < _OLD_MS)
    return bool((steps[is_old] >= _LEAST_OLD_STEP_MS).all())


def _units_of_rows(numbers: np.ndarray, latest_ms: float) -> np.ndarray:
    """[num_rows] index into `_PER_ROW` of the unit that makes a time from 1980 on; -1 for none."""
    units = np.full(len(numbers), -1)
    for index, unit in enumerate(_PER_ROW):
        times_ms = numbers * _MS_OF[unit]
        units[(times_ms >= _OLD_MS) & (times_ms <= latest_ms)] = index
    return units


def _per_row(numbers: np.ndarray, units: np.ndarray, cells: CellNames) -> Times:
    times_ms = numbers * np.array([_MS_OF[unit] for unit in _PER_ROW])[units]
    steps = np.abs(np.diff(times_ms))
    if steps.any() and (steps[steps > 0] < _LEAST_STEP_MS).mean() > 0.5:
        raise WorkloadInputError(f"{cells.name(0)}: {_no_count(numbers)}.")
    changes = np.flatnonzero(np.diff(units)) + 1
    if not len(changes):
        return _utc(times_ms)
    before, after = (_PER_ROW[units[changes[0] - step]] for step in (1, 0))
    change = f"{before}, from {cells.rows.name(int(changes[0]))} on {after}"
    if len(changes) > 1:
        raise WorkloadInputError(
            f"column {cells.column}: its numbers are {change} since 1970, and so on "
            f"{len(changes)} times; write one unit."
        )
    return _utc(times_ms, f"Times are {change} since 1970.")


def _not_times(numbers: np.ndarray, units: np.ndarray, cells: CellNames) -> WorkloadInputError:
    """Return the error of numbers of which not all are times."""
    bad = units < 0
    if bad.mean() > 0.5:
        return WorkloadInputError(f"{cells.name(0)}: {_no_count(numbers)}.")
    unit = _PER_ROW[int(np.bincount(units[~bad]).argmax())]
    index = int(np.argmax(bad))
    return WorkloadInputError(
        f"{cells.name(index)}: {numbers[index]:.15g} is no time between 1980 and "
        f"today beside the others, which are {unit} since 1970; correct or drop the row "
        f"({int(bad.sum())} like it)."
    )


def _no_count(numbers: np.ndarray) -> str:
    first = f"{numbers[0]:.15g}"
    if 20_000 < numbers.min() <= numbers.max() < 80_000:
        return (
            f"{first} looks like a day number of a spreadsheet, whose first day cannot be told; "
            "format the column as 2024-01-31 and export it again"
        )
    return (
        f"{first} is no timestamp: as a count since 1970 it lies before 1900 or after today, or "
        "makes bars of no plausible length; write 2024-01-31 14:30:00, or seconds since 1970"
    )


def _utc(times_ms: np.ndarray, note: str = "") -> Times:
    return Times(values=np.round(times_ms).astype("datetime64[ms]"), is_utc=True, note=note)


def _tomorrow_ms() -> float:
    """Return the end of tomorrow in ms since 1970: no bar is later, clocks aside."""
    return (datetime.datetime.now(datetime.UTC).timestamp() // 86_400 + 2) * _DAY_MS
