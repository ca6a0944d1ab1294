"""Reading bars from CSV and Parquet, without jax."""

import datetime
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from good_bars import hours, lines
from trainables.market.bars import MIN_BARS, load_bars
from trainables.workload import WorkloadInputError


def test_csv_is_read_as_utc(write):
    bars = load_bars(write(lines()))
    assert len(bars) == MIN_BARS
    assert bars.time[1] == np.datetime64("2024-01-01T01:00")
    assert (bars.open[1], bars.high[1], bars.low[1], bars.close[1]) == (101, 103, 100, 102)
    assert bars.volume[1] == 11
    assert bars.source == "bars.csv"


@pytest.mark.parametrize(
    "header",
    [
        "Gmt time,Open,High,Low,Close,Volume",
        "DATE,O,H,L,C,V",
        "datetime, open, high, low, close, tick_volume",
        "<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>",
    ],
)
def test_column_names_have_aliases(write, header):
    assert load_bars(write(lines(), header)).close[0] == 101


def test_an_adjusted_close_is_not_the_close(write):
    rows = [f"{row},1" for row in lines()]
    header = "Date,Open,High,Low,Close,Volume,Adj Close"
    assert load_bars(write(rows, header)).close[0] == 101


@pytest.mark.parametrize(
    "as_text",
    [
        "{0:%Y-%m-%d %H:%M:%S}",
        "{0:%Y-%m-%dT%H:%M:%SZ}",
        "{0:%Y-%m-%d %H:%M:%S}+00:00",
        "{0:%Y-%m-%d %H:%M}",
        "{0:%Y.%m.%d %H:%M}",
        "{0:%d.%m.%Y %H:%M:%S}.000",
        "{0:%Y%m%d %H%M%S}",
        "{1:.0f}",
        "{1:.0f}000",
        "{1:.0f}000000000",
    ],
)
def test_timestamps_may_be_written_in_several_ways(write, as_text):
    times = [datetime.datetime.fromisoformat(f"{time}+00:00") for time in hours(MIN_BARS)]
    rows = [
        ",".join([as_text.format(time, time.timestamp()), *row.split(",")[1:]])
        for time, row in zip(times, lines(), strict=True)
    ]
    assert (load_bars(write(rows)).time == hours(MIN_BARS)).all()


def test_day_and_time_of_day_may_be_two_columns(write):
    rows = [row.replace("-", ".", 2).replace("T", ",", 1) for row in lines()]
    bars = load_bars(write(rows, "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"))
    assert (bars.time == hours(MIN_BARS)).all()


def test_days_written_as_one_number_are_days(write):
    days = np.datetime64("2023-01-01") + np.arange(MIN_BARS)
    rows = [
        ",".join([str(day).replace("-", ""), *row.split(",")[1:]])
        for day, row in zip(days, lines(), strict=True)
    ]
    assert (load_bars(write(rows)).time == days).all()


def test_parquet_with_a_time_zone_reads_like_the_csv(write, tmp_path):
    bars = load_bars(write(lines()))
    new_york = pa.array(bars.time).cast(pa.timestamp("us", tz="America/New_York"))
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(pa.table({"Time": new_york, **columns}), path)
    assert load_bars(path).sha256() == bars.sha256()


def test_hash_depends_on_every_value(write):
    rows = lines()
    before = load_bars(write(rows)).sha256()
    rows[100] = rows[100].replace(",110", ",111")
    assert load_bars(write(rows)).sha256() != before


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (7, 4, "", "column close, row 7 below the header: the value is missing"),
        (7, 4, "n/a?", "column close, row 7 below the header: 'n/a\\?' is not a number"),
        (7, 4, "inf", "column close, row 7 below the header: the value is missing or not finite"),
        (9, 1, "0", "column open, row 9 below the header: the price is not positive, got 0.0"),
        (9, 2, "5", "column high, row 9 below the header: high is below low \\(100.0\\), got 5.0"),
        (9, 5, "-1", "column volume, row 9 below the header: the volume is negative"),
        (
            9,
            0,
            "2024-01-01T07:00:00",
            "column timestamp, row 9 below the header: the time is the same as the row",
        ),
        (
            9,
            0,
            "2024-01-01T03:00:00",
            "column timestamp, row 9 below the header: the time is before the row above",
        ),
        (
            9,
            0,
            "yesterday",
            "column timestamp, row 9 below the header: 'yesterday' is not a timestamp",
        ),
        (9, 0, "", "column timestamp, row 9 below the header: the timestamp is missing"),
        (
            1,
            0,
            "31/12/2023 23:00",
            "column timestamp, row 1 below the header: '31/12/2023 23:00' is not a time",
        ),
    ],
)
def test_bad_cell_is_named_by_row_and_column(write, row, column, value, message):
    rows = lines()
    cells = rows[row - 1].split(",")
    cells[column] = value
    rows[row - 1] = ",".join(cells)
    with pytest.raises(WorkloadInputError, match=message):
        load_bars(write(rows))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("timestamp,open,high,low,close,x", "has no volume column: its columns are timestamp, o"),
        ("x,open,high,low,close,volume", "has no timestamp column"),
    ],
)
def test_missing_column_is_named(write, header, message):
    with pytest.raises(WorkloadInputError, match=message):
        load_bars(write(lines(), header))


def test_too_short_a_file_says_how_many_rows_are_needed(write):
    with pytest.raises(WorkloadInputError, match=f"has 20 rows, an episode needs .* {MIN_BARS}"):
        load_bars(write(lines(20)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        (b"", "is not a readable CSV, Parquet or Feather file: it is empty"),
        (b"a,b\n1,2,3\n", "is not a readable CSV, Parquet or Feather file"),
        (b"\x89PNG\r\n\x1a\n\x00\x01\x02", "is not a readable|has no timestamp column"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "bars.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkloadInputError, match=message):
        load_bars(path)


def test_what_is_there_and_no_file_is_not_called_absent(tmp_path):
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (pipe, loop):
        with pytest.raises(WorkloadInputError, match=f"{path} is no regular file; give a CSV"):
            load_bars(path)


def test_a_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "bars.parquet"
    path.write_bytes(b"PAR1" + b"0" * 100)
    with pytest.raises(WorkloadInputError, match="readable CSV, Parquet or Feather file: Parquet"):
        load_bars(path)
