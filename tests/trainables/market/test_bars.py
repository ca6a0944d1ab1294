"""Reading bars, synthetic bars, sessions and features. No jax."""

import datetime
import pathlib
import subprocess
import sys
import zoneinfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from trainables.market.bars import MIN_BARS, Bars, load_bars
from trainables.market.features import FEATURES, build_market, compute_features
from trainables.market.options import MarketOptions
from trainables.market.sessions import (
    FREE_EPISODE_BARS,
    MIN_EPISODE_BARS,
    WARMUP_BARS,
    find_sessions,
    to_new_york,
)
from trainables.market.synthetic import SESSION_BARS, synthetic_bars
from trainables.workload import WorkloadInputError

HEADER = "timestamp,open,high,low,close,volume"


def hours(count: int, start: str = "2024-01-01T00:00") -> np.ndarray:
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(1, "h")


def lines(count: int = MIN_BARS) -> list[str]:
    """Good rows; row n stands at index n - 1."""
    return [
        f"{time},{100 + i % 7},{102 + i % 7},{99 + i % 7},{101 + i % 7},{10 + i}"
        for i, time in enumerate(hours(count))
    ]


@pytest.fixture
def write(tmp_path: pathlib.Path):
    def write_csv(rows: list[str], header: str = HEADER) -> pathlib.Path:
        path = tmp_path / "bars.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write_csv


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
        (7, 4, "", "column close, row 7: the value is missing"),
        (7, 4, "n/a?", "column close, row 7: 'n/a\\?' is not a number"),
        (7, 4, "inf", "column close, row 7: the value is missing or not finite"),
        (9, 1, "0", "column open, row 9: the price is not positive, got 0.0"),
        (9, 2, "5", "column high, row 9: high is below low \\(100.0\\), got 5.0"),
        (9, 5, "-1", "column volume, row 9: the volume is negative"),
        (9, 0, "2024-01-01T07:00:00", "column timestamp, row 9: the time is the same as the row"),
        (9, 0, "2024-01-01T03:00:00", "column timestamp, row 9: the time is before the row above"),
        (9, 0, "yesterday", "column timestamp, row 9: 'yesterday' is not a timestamp"),
        (9, 0, "", "column timestamp, row 9: the timestamp is missing"),
        (1, 0, "31/12/2023 23:00", "column timestamp, row 1: '31/12/2023 23:00' is not a time"),
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
        (b"", "is not a readable CSV or Parquet file"),
        (b"a,b\n1,2,3\n", "is not a readable CSV or Parquet file"),
        (b"\x89PNG\r\n\x1a\n\x00\x01\x02", "is not a readable|has no timestamp column"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "bars.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkloadInputError, match=message):
        load_bars(path)


def test_what_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "bars.parquet"
    path.write_text(HEADER)
    with pytest.raises(WorkloadInputError, match="is not a readable CSV or Parquet file"):
        load_bars(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date": "x"}, "there is no option \\['date'\\]; there are"),
        ({"synthetic_days": 0}, "synthetic_days must be at least 1, got 0"),
    ],
)
def test_bad_option_is_named(options, message):
    with pytest.raises(WorkloadInputError, match=message):
        MarketOptions.from_mapping(options)


def test_options_choose_between_the_file_and_the_synthetic_market(write):
    assert (
        MarketOptions.from_mapping({"data": str(write(lines()))}).load_bars().source == "bars.csv"
    )
    assert "synthetic market (3 days" in MarketOptions(synthetic_days=3).load_bars().source


def test_market_is_read_without_jax():
    code = "import sys, trainables.market.options; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_synthetic_bars_are_seeded_and_valid(tmp_path):
    bars = synthetic_bars(seed=1, num_days=2)
    assert bars.sha256() == synthetic_bars(seed=1, num_days=2).sha256()
    assert bars.sha256() != synthetic_bars(seed=2, num_days=2).sha256()
    path = tmp_path / "synthetic.parquet"
    names = ("time", "open", "high", "low", "close", "volume")
    pyarrow.parquet.write_table(pa.table({name: getattr(bars, name) for name in names}), path)
    assert load_bars(path).sha256() == bars.sha256()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()


def test_synthetic_sessions_are_regular_hours_in_summer_and_winter():
    bars = synthetic_bars(seed=0, num_days=250)
    sessions = find_sessions(bars.time)
    assert sessions.regular_hours
    first_bars = to_new_york(bars.time[::SESSION_BARS])
    assert {str(time)[11:16] for time in first_bars} == {"09:30"}
    assert (sessions.episode_end.reshape(250, SESSION_BARS) % SESSION_BARS == 389).all()


def test_new_york_time_agrees_with_the_zone_database():
    time = np.arange("2007-01-01", "2037-01-01", np.timedelta64(11, "h"), dtype="datetime64[s]")
    zone = zoneinfo.ZoneInfo("America/New_York")
    expected = [
        datetime.datetime.fromtimestamp(second, zone).replace(tzinfo=None)
        for second in time.astype(int).tolist()
    ]
    assert (to_new_york(time) == np.array(expected, dtype="datetime64[s]")).all()


def test_episodes_of_round_the_clock_minutes_stay_in_regular_hours():
    time = np.arange("2024-03-04", "2024-03-18", np.timedelta64(1, "m"), dtype="datetime64[ms]")
    sessions = find_sessions(time)
    local = to_new_york(time)
    minute = (local - local.astype("datetime64[D]")) // np.timedelta64(1, "m")
    assert sessions.regular_hours
    assert np.is_busday(local[sessions.starts].astype("datetime64[D]")).all()
    assert minute[sessions.starts].min() == 570
    assert minute[sessions.starts].max() == 959 - MIN_EPISODE_BARS
    ends = sessions.episode_end[sessions.starts]
    assert (minute[ends] == 959).all()
    assert (ends - sessions.starts < SESSION_BARS).all()


@pytest.mark.parametrize("bar_length", [np.timedelta64(1, "h"), np.timedelta64(24, "h")])
def test_bars_too_long_for_sessions_have_free_episodes(bar_length):
    time = np.datetime64("2020-01-01", "ms") + np.arange(1000) * bar_length
    sessions = find_sessions(time)
    assert not sessions.regular_hours
    assert sessions.starts[0] == WARMUP_BARS
    assert sessions.episode_end[WARMUP_BARS] == WARMUP_BARS + FREE_EPISODE_BARS
    assert sessions.episode_end[sessions.starts[-1]] == 999
    assert "no regular-hours sessions" in sessions.describe()


def test_bars_without_room_for_an_episode_are_refused():
    bars = synthetic_bars(seed=0, num_days=1)
    cut = {
        name: getattr(bars, name)[:130]
        for name in ("time", *Bars.__annotations__)
        if name != "source"
    }
    with pytest.raises(WorkloadInputError, match="no episode fits into its 130 bars"):
        build_market(Bars(source="short", **cut))


def changed_after(bars: Bars, bar: int) -> Bars:
    def change(values: np.ndarray) -> np.ndarray:
        return np.r_[values[: bar + 1], values[bar + 1 :] * 3.0]

    columns = {name: change(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return Bars(time=bars.time, volume=change(bars.volume), source="changed", **columns)


@pytest.mark.parametrize("bar", [150, 389, 390, 600])
def test_features_do_not_see_the_future(bar):
    bars = synthetic_bars(seed=0, num_days=2)
    sessions = find_sessions(bars.time)
    before = compute_features(bars, sessions)
    after = compute_features(changed_after(bars, bar), sessions)
    np.testing.assert_array_equal(before[: bar + 1], after[: bar + 1])
    assert (before[bar + 1] != after[bar + 1]).any()


def test_features_do_not_depend_on_the_price_level():
    bars = synthetic_bars(seed=0, num_days=2)
    cents = {name: getattr(bars, name) / 100 for name in ("open", "high", "low", "close")}
    scaled = Bars(time=bars.time, volume=bars.volume, source="cents", **cents)
    sessions = find_sessions(bars.time)
    np.testing.assert_allclose(
        compute_features(bars, sessions), compute_features(scaled, sessions), atol=1e-6
    )


def test_features_survive_a_market_that_stands_still():
    time = hours(MIN_BARS).astype("datetime64[ms]")
    one = np.ones(MIN_BARS)
    bars = Bars(time=time, open=one, high=one, low=one, close=one, volume=0 * one, source="flat")
    market = build_market(bars)
    assert np.isfinite(market.features).all()
    assert market.features.shape == (MIN_BARS, len(FEATURES))
    assert (market.prices[:, 4] > 0).all()
