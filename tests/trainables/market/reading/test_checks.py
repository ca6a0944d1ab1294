"""Checks of prices, volumes and times."""

import numpy as np
import pytest

from trainables.market.reading.checks import check_times, check_values
from trainables.market.reading.rows import RowNames
from trainables.workload import WorkloadInputError

ROWS = RowNames(file="bars.csv")
TIME = ROWS.of("time")
ROLES = ("open", "high", "low", "close", "volume")
CELLS = {role: ROWS.of(role.title()) for role in ROLES}


def bars(count: int = 10, **changed) -> dict[str, np.ndarray]:
    values = {"open": 100.0, "high": 103.0, "low": 99.0, "close": 101.0, "volume": 5.0}
    arrays = {role: np.full(count, value) for role, value in values.items()}
    for role, value in changed.items():
        arrays[role][-1] = value
    return arrays


def minutes(count: int = 10) -> np.ndarray:
    return np.datetime64("2024-01-02T14:30", "ms") + np.arange(count) * np.timedelta64(60_000, "ms")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"close": 104.0}, r"column Close, row 10: Close is above High \(103.0\), got 104.0"),
        ({"open": 104.0}, "column Open, row 10: Open is above High"),
        ({"open": 98.0}, r"column Open, row 10: Open is below Low \(99.0\)"),
        ({"close": 98.0}, "column Close, row 10: Close is below Low"),
        ({"high": 98.0}, "column High, row 10: High is below Low"),
        ({"close": 103.0001}, "Close is above High"),
        ({"close": 0.0}, "the price is not positive"),
        ({"volume": -1.0}, "the volume is negative"),
        ({"high": np.nan}, "column High, row 10: the value is missing"),
        ({"volume": np.inf}, "column Volume, row 10: the value is missing or not finite"),
    ],
)
def test_a_bar_that_cannot_be_is_named_in_the_last_row(changed, message):
    with pytest.raises(WorkloadInputError, match=message):
        check_values(bars(**changed), CELLS)


@pytest.mark.parametrize(
    "pair", [("open", "high"), ("open", "low"), ("high", "low"), ("close", "high")]
)
def test_swapped_columns_are_said_as_such(pair):
    values, (first, second) = bars(), pair
    values[first], values[second] = values[second], values[first]
    with pytest.raises(WorkloadInputError, match="10 of 10 rows; are columns swapped"):
        check_values(values, CELLS)


def test_rounding_of_adjusted_prices_is_no_fault():
    check_values(bars(close=103.0 * (1 + 1e-12)), CELLS)


@pytest.mark.parametrize("scale", [1e9, 1e6 * 1e4])
def test_integers_that_stand_for_decimals_are_refused(scale):
    values = {role: array * (scale if role != "volume" else 1) for role, array in bars().items()}
    with pytest.raises(WorkloadInputError, match=r"column Close: .* stands for decimals"):
        check_values(values, CELLS)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 8.123e5])
def test_prices_of_any_currency_are_taken(scale):
    values = {role: array * (scale if role != "volume" else 1) for role, array in bars().items()}
    check_values(values, CELLS)


@pytest.mark.parametrize(
    ("row", "time", "message"),
    [
        (10, "2024-01-02T14:38", "row 10: the time is the same as the row before"),
        (10, "2024-01-02T14:00", "row 10: the time is before the row above"),
        (10, "0024-01-02T14:39", "row 10: the time is before 1700"),
        (1, "0001-01-01T00:00", "row 1: the time is before 1700"),
        (10, "9999-12-31T00:00", "row 10: the time is before 1700 or after 2099"),
        (1, "1970-01-01T00:00", "row 2: 2024.* is more than ten years after the row above .1970"),
        (10, "2046-01-31T14:23", "row 10: 2046.* is more than ten years after"),
    ],
)
def test_a_time_out_of_place_is_named(row, time, message):
    times = minutes()
    times[row - 1] = np.datetime64(time)
    with pytest.raises(WorkloadInputError, match=message):
        check_times(times, TIME)


def test_the_same_time_in_most_rows_is_said_as_such():
    with pytest.raises(WorkloadInputError, match="several instruments or lengths of bars; keep"):
        check_times(np.repeat(minutes(3), 4), TIME)


def test_holes_of_weeks_and_a_single_bar_are_no_fault():
    check_times(np.r_[minutes(5), minutes(5) + np.timedelta64(60, "D")], TIME)
    check_times(minutes(1), TIME)


@pytest.mark.parametrize("step_ms", [60, 60_000, 3_600_000])
def test_short_bars_of_the_seventies_are_of_a_wrong_unit(step_ms):
    times = np.datetime64("1970-01-20", "ms") + np.arange(300) * np.timedelta64(step_ms, "ms")
    with pytest.raises(WorkloadInputError, match=r"row 1: 1970-01-20.* from a wrong unit of time"):
        check_times(times, TIME)


def test_days_of_the_seventies_are_no_fault():
    check_times(np.arange("1962-01-02", "1978-01-02", dtype="datetime64[D]"), TIME)
