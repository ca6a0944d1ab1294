"""The checks of bars: prices, volumes, and the order of times. NumPy only, pure."""

from collections.abc import Mapping

import numpy as np

from trainables.market.reading.columns import PRICES
from trainables.market.reading.rows import CellNames
from trainables.workload import WorkloadInputError

_ROUNDING = 1e-9  # of a price: what adjusting prices for splits leaves
_FIRST_DAY, _LAST_DAY = np.datetime64("1700-01-01"), np.datetime64("2100-01-01")
_LONGEST_HOLE = np.timedelta64(3652, "D")  # a date that stands for "unknown" is that far away
_FIRST_INTRADAY, _DAILY = np.datetime64("1980-01-01"), np.timedelta64(20, "h")
_LONG_BAR = np.timedelta64(93, "D")
_FIXED_POINT_UNIT = 10_000
_LEAST_FIXED_POINT, _MOST_PRICE = 1e7, 1e10


def check_values(values: Mapping[str, np.ndarray], cells: Mapping[str, CellNames]) -> None:
    """Check prices and volumes, [num_rows] each by our name; `cells` has the file's.

    Raises:
        WorkloadInputError: naming the first row that no bar can have.
    """
    for role in (*PRICES, "volume"):
        array, refuse_first = values[role], cells[role].refuse_first
        refuse_first(
            ~np.isfinite(array),
            "the value is missing or not finite",
            got=array,
            wide=f"give {cells[role].column} values, or name another column {role}",
        )
        if role == "volume":
            refuse_first(
                array < 0,
                "the volume is negative",
                got=array,
                wide="if this market has no volume, write 0",
            )
        else:
            refuse_first(
                array <= 0,
                "the price is not positive",
                got=array,
                wide="such prices have no returns, so give another history",
            )
    _check_order(values, cells)
    _check_scale(values["close"], cells["close"].column)


def _check_order(values: Mapping[str, np.ndarray], cells: Mapping[str, CellNames]) -> None:
    """Check that high is the highest and low the lowest price of each bar."""
    open_, high, low, close = (cells[role].column for role in PRICES)
    swapped = f"are columns swapped? A bar has {low} <= {open_}, {close} <= {high}"
    for role, limit, sign in (
        ("high", "low", 1.0),
        ("open", "low", 1.0),
        ("close", "low", 1.0),
        ("open", "high", -1.0),
        ("close", "high", -1.0),
    ):
        array, bound = values[role], values[limit]
        bad = array < bound if sign > 0 else array > bound
        if bad.any():  # then by more than rounding?
            bad &= np.abs(array - bound) > _ROUNDING * bound
        if bad.any():
            named, side = cells[role], "below" if sign > 0 else "above"
            beyond = f"{side} {cells[limit].column} ({bound[named.rows.first(bad)]})"
            named.refuse_first(bad, f"{named.column} is {beyond}", got=array, wide=swapped)


def _check_scale(close: np.ndarray, name: str) -> None:
    """Refuse integers that stand for prices of nine decimals, as Databento's are."""
    if not len(close):
        return
    usual = float(np.median(close[:: max(1, len(close) // 1000)]))
    is_fixed_point = usual >= _LEAST_FIXED_POINT and not (close % _FIXED_POINT_UNIT).any()
    if is_fixed_point or usual >= _MOST_PRICE:
        raise WorkloadInputError(
            f"column {name}: its prices are like {usual:.0f}, which looks like an integer that "
            "stands for decimals (Databento's count 0.000000001); divide the prices by that."
        )


def check_times(time: np.ndarray, cells: CellNames) -> None:
    """Check [num_rows] datetime64[ms] for their order, and for dates that stand for nothing.

    Raises:
        WorkloadInputError: naming the first row that is out of place.
    """
    cells.refuse_first(
        (time < _FIRST_DAY) | (time >= _LAST_DAY),
        "the time is before 1700 or after 2099",
        got=time,
        wide="write times as 2024-01-31 14:30:00",
    )
    step = np.diff(time)
    zero = np.timedelta64(0, "ms")
    same, back = np.r_[False, step == zero], np.r_[False, step < zero]
    several = "if the file holds several instruments, keep one; else correct or drop the row"
    many = "the file seems to hold several instruments or lengths of bars; keep one"
    for bad, reason in (
        (same, "the time is the same as the row before"),
        (back, "the time is before the row above"),
    ):
        cells.refuse_first(bad, reason, got=time, remedy=several, wide=many)
    if not len(step):
        return
    _check_unit(time, step, cells)
    hole = np.r_[False, step > _LONGEST_HOLE]
    if hole.any() and np.median(step) < _LONG_BAR:
        index = int(np.argmax(hole))
        raise WorkloadInputError(
            f"{cells.name(index)}: {time[index]} is more than ten years after the "
            f"row above ({time[index - 1]}); correct or drop what is wrong of the two."
        )


def _check_unit(time: np.ndarray, step: np.ndarray, cells: CellNames) -> None:
    """Refuse minutes of the seventies: milliseconds that were taken for microseconds, say."""
    if time[0] >= _FIRST_INTRADAY or (step >= _DAILY).mean() > 0.5:
        return
    if (time < _FIRST_INTRADAY).mean() > 0.5:
        raise WorkloadInputError(
            f"{cells.name(0)}: {time[0]}, and bars shorter than a day, are from a "
            "wrong unit of time; write times as 2024-01-31 14:30:00."
        )
