"""Times that are numbers: one reading, or none."""

import datetime

import numpy as np
import pytest

from exports import NUM_ROWS, epochs, moments
from trainables.market.reading.epoch import from_calendar, from_count
from trainables.market.reading.rows import RowNames
from trainables.workload import WorkloadInputError

TIME = RowNames(file="bars.csv").of("time")
MINUTES = epochs(moments())
DAYS = epochs(moments(86_400, "2022-01-03T00:00:00"))
SIXTIES = epochs(moments(86_400, "1962-01-02T00:00:00", 6000))
UNITS = {"minutes": 1 / 60, "seconds": 1, "milliseconds": 10**3, "us": 10**6, "ns": 10**9}


def count(numbers) -> tuple[np.ndarray, str]:
    found = from_count(np.array(numbers, np.float64), TIME)
    assert found.is_utc
    return found.values, found.note


def digits(numbers) -> np.ndarray | None:
    found = from_calendar(np.array(numbers, np.int64), TIME)
    assert found is None or not found.is_utc
    return None if found is None else found.values


def written(form: str, step_s: int = 60, start: str = "2024-01-02T14:30:00") -> list[int]:
    return [int(f"{time:{form}}") for time in moments(step_s, start)]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "seconds", [MINUTES, DAYS, epochs(moments(3600)), epochs(moments(60, "1999-12-31T20:00:00"))]
)
def test_a_count_has_the_one_unit_that_makes_bars_of_it(unit, seconds):
    time, note = count([second * UNITS[unit] for second in seconds])
    assert (time == np.array(seconds, "datetime64[s]")).all()
    assert note == ""


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "us"])
def test_days_before_1980_and_before_1970_are_days(unit):
    time, _ = count([second * UNITS[unit] for second in SIXTIES])
    assert (str(time[0])[:10], str(time[-1])[:10]) == ("1962-01-02", "1978-06-06")


@pytest.mark.parametrize("change", [1, 150, NUM_ROWS - 1])
@pytest.mark.parametrize("seconds", [MINUTES, DAYS])
@pytest.mark.parametrize(
    ("before", "after"), [(1, 10**3), (10**3, 10**6), (10**6, 10**9), (10**6, 10**3)]
)
def test_where_the_unit_changes_each_row_has_its_own(seconds, change, before, after):
    numbers = [n * (before if row < change else after) for row, n in enumerate(seconds)]
    time, note = count(numbers)
    assert (time == np.array(seconds, "datetime64[s]")).all()
    assert f"from row {change + 1} on" in note


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([n * (1 if row % 2 else 1000) for row, n in enumerate(MINUTES)], "299 times; write one"),
        ([*MINUTES[:-1], 0], "row 300: 0 is no time .* which are seconds"),
        ([-1, *MINUTES[1:]], "row 1: -1 is no time"),
        ([*MINUTES[:-1], np.inf], "row 300: the timestamp is missing or not finite, got inf"),
        ([*MINUTES[:-1], np.nan], "row 300: the timestamp is missing"),
        (range(300), "0 is no timestamp"),
        (range(10**6, 10**6 + 300), "1000000 is no timestamp"),
        ([n // 3600 for n in epochs(moments(3600))], "473390 is no timestamp"),
        (range(44_564, 44_864), "day number of a spreadsheet"),
        ([n + 50 * 365 * 86_400 for n in MINUTES], "after today"),
        ([MINUTES[0] + row / 1000 for row in range(300)], "no plausible length"),
    ],
)
def test_numbers_that_are_no_times_are_refused(numbers, message):
    with pytest.raises(WorkloadInputError, match=message):
        count(numbers)


def test_tomorrow_is_a_time_and_next_week_is_not():
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    assert len(count(range(now - 18_000, now + 3600, 60))[0])
    with pytest.raises(WorkloadInputError, match="after today"):
        count(range(now + 7 * 86_400, now + 8 * 86_400, 60))


@pytest.mark.parametrize(
    ("form", "step_s"),
    [
        ("%Y%m%d", 86_400),
        ("%Y%m%d%H", 3600),
        ("%Y%m%d%H%M", 60),
        ("%Y%m%d%H%M%S", 60),
        ("%Y%m%d%H%M%S", 1),
        ("%Y%m%d%H%M%S000", 60),
    ],
)
@pytest.mark.parametrize("start", ["2024-01-02T14:00:00", "1999-12-31T23:00:00"])
def test_digits_of_the_calendar_are_read_as_such(form, step_s, start):
    time = digits(written(form, step_s, start))
    expected = np.array(moments(step_s, start), "datetime64[ms]")
    unit = "datetime64[D]" if form == "%Y%m%d" else "datetime64[ms]"
    assert (time == expected.astype(unit)).all()


@pytest.mark.parametrize(
    "form", ["%y%m%d%H%M", "%y%m%d%H%M%S", "%d%m%y%H%M", "%m%d%y%H%M", "%d%m%Y%H%M", "%d%m%Y%H%M%S"]
)
@pytest.mark.parametrize("start", ["2024-01-02T14:30:00", "2017-12-15T09:30:00"])
def test_orders_that_cannot_be_told_are_refused(form, start):
    with pytest.raises(WorkloadInputError, match="two digits or stands last"):
        digits(written(form, 60, start))


@pytest.mark.parametrize("form", ["%d%m%Y", "%m%d%Y", "%y%m%d"])
def test_days_in_such_orders_are_refused(form):
    with pytest.raises(WorkloadInputError, match="two digits or stands last"):
        digits(written(form, 86_400))


@pytest.mark.parametrize("numbers", [MINUTES, DAYS, SIXTIES, [n * 1000 for n in MINUTES]])
def test_counts_are_no_digits_of_the_calendar(numbers):
    assert digits(numbers) is None


@pytest.mark.parametrize("wrong", [20240230, 20230229, 20241301, 20240100, 99999999])
def test_a_day_that_is_none_is_named(wrong):
    with pytest.raises(WorkloadInputError, match=f"row 300: no time of the calendar.*got {wrong}"):
        digits([*written("%Y%m%d", 86_400)[:-1], wrong])
