"""Columns of times: their types, and days and times of day apart."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from exports import csv_of, epochs, moments, saved
from trainables.market.bars import load_bars
from trainables.market.reading.rows import RowNames
from trainables.market.reading.times import is_clock, read_day_and_clock, read_times
from trainables.workload import WorkloadInputError

ROWS = RowNames(file="bars.parquet")
MOMENTS = moments()
SECONDS = epochs(MOMENTS)
DAYS = pa.array([20240102] * 300)


def column(values, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return pa.chunked_array([array])


@pytest.mark.parametrize(
    ("values", "is_utc"),
    [
        (pa.array(MOMENTS), False),
        (pa.array(MOMENTS, pa.timestamp("ns")), False),
        (pa.array(MOMENTS).cast(pa.timestamp("ms", "UTC")), True),
        (pa.array([str(time) for time in MOMENTS]), False),
        (pa.array([str(time) for time in MOMENTS], pa.large_string()), False),
        (pa.array([str(time) for time in MOMENTS], pa.string_view()), False),
        (pa.array([str(time).encode() for time in MOMENTS]), False),
        (pa.array([str(time) for time in MOMENTS]).dictionary_encode(), False),
        (pa.array([f"{time:%Y-%m-%dT%H:%M:%S}.123456789Z" for time in MOMENTS]), True),
        (pa.array(SECONDS), True),
        (pa.array(SECONDS, pa.uint64()), True),
        (pa.array(SECONDS, pa.float64()), True),
        (pa.array(SECONDS, pa.decimal128(20, 0)), True),
        (pa.array([second * 10**9 for second in SECONDS], pa.uint64()), True),
        (pa.array([int(f"{time:%Y%m%d%H%M%S}") for time in MOMENTS]), False),
        (pa.array([float(f"{time:%Y%m%d%H%M%S}") for time in MOMENTS]), False),
    ],
)
def test_times_of_many_types(values, is_utc):
    times = read_times(column(values), ROWS.of("time"))
    assert (times.values.astype("datetime64[s]") == np.array(MOMENTS, "datetime64[s]")).all()
    assert times.is_utc == is_utc


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([True] * 3), "holds 'bool', not timestamps"),
        (pa.array([[1]] * 3), "holds 'list<"),
        (pa.array([{"a": 1}] * 3), "holds 'struct"),
        (pa.array([{f"a{i}": 1 for i in range(9000)}]), "holds 'struct"),
        (pa.array([1] * 3, pa.duration("s")), "holds 'duration"),
        (pa.array([1] * 3, pa.time32("s")), "holds 'time32"),
        (pa.nulls(3), "row 1: the timestamp is missing, and so in 3 of 3 rows"),
        (pa.array([None, *MOMENTS]), "row 1: the timestamp is missing; fill it in"),
        (pa.array([*SECONDS, None]), "row 301: the timestamp is missing"),
        (pa.array(["2024-01-02", " "]), "row 2: the timestamp is missing"),
        (pa.array(["1.70421E+12"] * 3), "has lost its last digits to a spreadsheet"),
        (pa.array(["1,70421E+12"] * 3), "has lost its last digits to a spreadsheet"),
        (pa.array(np.array(SECONDS, np.float32)), "holds float, which has rounded"),
        (pa.array(["x" * 10_000] * 3), "row 1: 'xxx"),
    ],
)
def test_what_are_no_times_is_refused_in_a_bounded_sentence(values, message):
    with pytest.raises(WorkloadInputError, match=message) as error:
        read_times(column(values), ROWS.of("time"))
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("values", "clock"),
    [
        (pa.array([1], pa.time64("us")), True),
        (pa.array([1], pa.duration("s")), True),
        (pa.array(["14:30"]), True),
        (pa.array(["143000"]), True),
        (pa.array(["02:30 PM"]), True),
        (pa.array([143000]), True),
        (pa.array(SECONDS), False),
        (pa.array(["2024-01-02 14:30"]), False),
        (pa.array(MOMENTS), False),
        (pa.array([[1]]), False),
    ],
)
def test_times_of_day_are_told_from_whole_times(values, clock):
    assert is_clock(column(values)) == clock


def clocks(form: str, step_s: int = 60, start: str = "2024-01-02T00:00:00") -> list[str]:
    return [f"{time:{form}}" for time in moments(step_s, start)]


@pytest.mark.parametrize("start", ["2024-01-02T00:00:00", "2024-01-02T09:30:00"])
@pytest.mark.parametrize(
    "clock",
    [
        lambda time: f"{time:%H:%M}",
        lambda time: f"{time:%H:%M:%S.000}",
        lambda time: f"{time:%H%M%S}",
        lambda time: f"{time:%H%M}",
        lambda time: str(int(f"{time:%H%M%S}")),
        lambda time: int(f"{time:%H%M%S}"),
        lambda time: float(f"{time:%H%M%S}"),
        lambda time: time.time(),
        lambda time: datetime.timedelta(hours=time.hour, minutes=time.minute),
        lambda time: f"{time:%I:%M %p}",
    ],
)
@pytest.mark.parametrize(
    "day",
    [
        lambda time: f"{time:%Y-%m-%d}",
        lambda time: f"{time:%d.%m.%Y}",
        lambda time: int(f"{time:%Y%m%d}"),
        lambda time: time.date(),
        lambda time: datetime.datetime(time.year, time.month, time.day),
        lambda time: f"{time:%Y-%m-%d} 00:00:00",
    ],
)
def test_a_day_and_a_time_of_day_are_joined(day, clock, start):
    expected = moments(60, start)
    days, times = [day(time) for time in expected], [clock(time) for time in expected]
    found = read_day_and_clock(column(days), column(times), ROWS.of("date"))
    assert (found.values == np.array(expected, "datetime64[ms]")).all()


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        (pa.array(range(300)), "have lost their zeros"),
        (pa.array(["25:00"] * 300), "row 1: '20240102 25:00'"),
        (pa.array(["240000"] * 300), "row 1: '20240102 240000'"),
        (pa.array([86_400] * 300, pa.duration("s")), "row 1: the time of day is not within a day"),
        (pa.array([*["14:30"] * 299, None]), "row 300: the timestamp is missing"),
    ],
)
def test_times_of_day_that_are_none_are_refused(clock, message):
    with pytest.raises(WorkloadInputError, match=message):
        read_day_and_clock(column(DAYS), column(clock), ROWS.of("date"))


@pytest.mark.parametrize(
    "days",
    [
        pa.array(MOMENTS),
        pa.array(MOMENTS).cast(pa.timestamp("ms", "America/New_York")),
    ],
)
@pytest.mark.parametrize(
    "clock", [pa.array(["14:30"] * 300), pa.array([60] * 300, pa.duration("s"))]
)
def test_days_with_a_time_of_day_of_their_own_are_refused(days, clock):
    with pytest.raises(WorkloadInputError, match="its days have a time of day or a zone of their"):
        read_day_and_clock(column(days), column(clock), ROWS.of("date"))


@pytest.mark.parametrize("step_s", [300, 900, 3600])
@pytest.mark.parametrize("header", ["<DATE>,<TIME>", "<DTYYYYMMDD>,<TIME>", "date,time"])
def test_zeros_at_the_beginning_of_the_night_are_kept(tmp_path, header, step_s):
    expected = moments(step_s, "2024-01-02T00:00:00")
    text = csv_of(
        [f"{time:%Y%m%d,%H%M%S}" for time in expected],
        header=f"{header},<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
    )
    bars = load_bars(saved(tmp_path, text))
    assert (bars.time == np.array(expected, "datetime64[ms]")).all()


def test_a_zone_beside_each_time_is_taken(tmp_path):
    text = csv_of([f"{time:%Y%m%d %H:%M:%S} US/Eastern" for time in MOMENTS])
    bars = load_bars(saved(tmp_path, text))
    assert (str(bars.time[0])[:16], bars.zone) == ("2024-01-02T19:30", "US/Eastern")
