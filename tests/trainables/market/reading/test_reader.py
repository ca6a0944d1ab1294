"""Files as the world exports them: read as they are meant, or refused with the cause."""

import numpy as np
import pytest

from exports import EXPORTS, csv_of, epochs, moments, saved
from trainables.market.bars import load_bars
from trainables.market.reading.content import find_content
from trainables.market.reading.reader import RowsRead, read_rows
from trainables.market.reading.text import TextTable
from trainables.market.reading.typed import TypedTable
from trainables.workload import WorkloadInputError

READ = [
    # file, rows, first time, last time, step in s, first close, last close, first volume
    ("alphavantage.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("barchart.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "binance_futures_header_ms.csv",
        127,
        "2024-01-02T14:30",
        "2024-01-02T16:36",
        60,
        100.01,
        99.77,
        2549.0,
    ),
    (
        "binance_ms_then_us.csv",
        300,
        "2024-12-31T21:30",
        "2025-01-01T02:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "binance_noheader_ms.csv",
        60,
        "2024-01-02T14:30",
        "2024-01-02T15:29",
        60,
        100.01,
        99.91,
        2549.0,
    ),
    ("bytes_ts.parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("cdd.csv", 58, "2024-01-02T18:32", "2024-01-02T19:29", 60, 99.3, 99.08, 3055.0),
    ("cdd_hour_ampm.csv", 300, "2024-01-02T14:00", "2024-01-15T01:00", 3600, 100.01, 99.08, 2549.0),
    ("coinbase.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("ctrl_z.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("databento_pretty.csv", 59, "2024-01-02T14:30", "2024-01-02T15:28", 60, 100.01, 99.92, 2549.0),
    (
        "date32_time64.parquet",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "date_epoch_time_iso.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "date_timedelta.parquet",
        300,
        "2024-01-02T00:00",
        "2024-01-02T04:59",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    ("decimal_comma.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "decimal_comma_int_volume_thousand_dot.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        10001.0,
        9908.0,
        2549.0,
    ),
    ("df.parquet.gzip", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("dtyyyymmdd.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("duka_local.csv", 300, "2024-01-02T13:30", "2024-01-02T18:29", 60, 100.01, 99.08, 2549.0),
    (
        "dup_timestamp_date_time.parquet",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    ("epoch_minutes.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "epoch_pre1973_daily.csv",
        300,
        "1971-01-04T00:00",
        "1971-10-30T00:00",
        86400,
        100.01,
        99.08,
        2549.0,
    ),
    ("finam_0000.csv", 300, "2024-01-02T00:00", "2024-01-02T04:59", 60, 100.01, 99.08, 2549.0),
    ("freqtrade.feather", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "hhmmss_0100_0155_5min.csv",
        336,
        "2024-01-02T01:00",
        "2024-01-29T01:55",
        300,
        100.01,
        100.06,
        2549.0,
    ),
    ("histdata_noheader.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 0.0),
    ("ib_date.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("iso_utc_suffix.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("kaggle_btc.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("kiwoom_date14.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("moex_iss.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("mt4_noheader.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("mt5_fx.csv", 300, "2024-01-02T00:00", "2024-01-02T04:59", 60, 100.01, 99.08, 2549.0),
    ("mt5_fx_utf16.csv", 59, "2024-01-02T14:30", "2024-01-02T15:28", 60, 100.01, 99.92, 2549.0),
    ("no_suffix_parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "pandas_unnamed_index.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "pandas_unnamed_index.parquet",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    ("pd_noname.parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("pd_str_utc.parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("pipe.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("plain.csv.gz", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("polygon_flat.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("polygon_short.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("quandl_wti.csv", 300, "2022-01-03T00:00", "2022-10-29T00:00", 86400, 100.01, 99.08, 2549.0),
    (
        "session_crypto_24x7_5m.parquet",
        2880,
        "2024-01-01T00:00",
        "2024-01-10T23:55",
        300,
        101.0,
        105.0,
        10.0,
    ),
    (
        "session_naive_ny_rth_1m.parquet",
        3120,
        "2024-01-03T09:30",
        "2024-01-12T15:59",
        60,
        101.0,
        105.0,
        10.0,
    ),
    (
        "session_xetra_utc_1m.parquet",
        4080,
        "2024-01-03T08:00",
        "2024-01-12T16:29",
        60,
        101.0,
        105.0,
        10.0,
    ),
    ("sierra_iso_ms.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("slash_nopad.csv", 300, "2024-01-02T08:30", "2024-01-02T13:29", 60, 100.01, 99.08, 2549.0),
    ("space_sep.txt", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("stooq_daily.csv", 300, "2022-01-03T00:00", "2022-10-29T00:00", 86400, 100.01, 99.08, 2549.0),
    ("stooq_hourly.csv", 300, "2024-01-02T00:00", "2024-01-14T11:00", 3600, 100.01, 99.08, 2549.0),
    (
        "str_iso_date_daily.parquet",
        300,
        "2022-01-03T00:00",
        "2022-10-29T00:00",
        86400,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "str_iso_ms_z.parquet",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    ("str_iso_us.parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("str_view.parquet", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("tickstory.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "timestamp_date_time.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    ("trailing_comma.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    ("tushare.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "two_symbols_stacked.csv",
        59,
        "2024-01-02T14:30",
        "2024-01-02T15:28",
        60,
        100.01,
        99.92,
        2549.0,
    ),
    ("x.parq", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "yf_multiindex.parquet",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "yfinance_multiindex.csv",
        300,
        "2022-01-03T00:00",
        "2023-02-24T00:00",
        86400,
        100.01,
        99.08,
        2549.0,
    ),
    ("ymd_slash.csv", 300, "2024-01-02T14:30", "2024-01-02T19:29", 60, 100.01, 99.08, 2549.0),
    (
        "yyyymmddhhmm_int.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "yyyymmddhhmmss_int.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
    (
        "yyyymmddhhmmssfff_int.csv",
        300,
        "2024-01-02T14:30",
        "2024-01-02T19:29",
        60,
        100.01,
        99.08,
        2549.0,
    ),
]

REFUSED = [
    ("arabic_digits.csv", "row 151 .*is not a number"),
    ("close_above_high.csv", r"column close, row 151 .*close is above high \(100.0\), got 150.0"),
    ("close_list.parquet", "column close holds 'list.*not numbers"),
    ("dash_dmy_hm.csv", "can be two dates"),
    ("dash_row.csv", "column open, row 151 .*'-' is not a number"),
    ("databento_raw_renamed.csv", "stands for decimals"),
    ("de_2digit_year.csv", "row 1 .*a year of two digits"),
    ("dec_ts_year1.parquet", "row 1: the time is before 1700"),
    ("epoch_one_bad_row200.csv", "row 200 below the header: 'n.d.' is not a timestamp"),
    ("epoch_zero_row200.csv", "row 200 below the header: 0 is no time .*are seconds since 1970"),
    ("excel_sci_epoch_ms.csv", "has lost its last digits to a spreadsheet"),
    ("excel_serial_daily.csv", "44564 looks like a day number of a spreadsheet"),
    ("fat_finger_close_above_high.csv", "row 151 .*close is above high .*got 1000000.0"),
    ("feb30.csv", "row 300 below the header: '2024.02.30' is no time of the calendar"),
    ("footer_total.csv", "row 301 below the header: 'Total' is not a timestamp"),
    ("freqtrade.json", "is JSON"),
    ("header_only.csv", "has 0 rows"),
    ("html_page.csv", "is a web page"),
    ("ib_fx_midpoint.csv", "300 of 300 rows; if this market has no volume, write 0"),
    ("iso_2digit_year.csv", "a year of two digits"),
    ("iso_mixed_frac_and_date.csv", "row 200 .*the time is before the row above"),
    ("iso_ms_z_one_bad_row200.csv", "row 200 .*'n.d.' is not a timestamp"),
    ("iso_offset_one_bad_row200.csv", "row 200 .*'n.d.' is not a timestamp"),
    ("json_error.csv", "is JSON.*Thank you for using"),
    ("kaggle_btc_nan.csv", "row 4 .*the value is missing .*43 like it"),
    ("ohlc_columns_swapped.csv", "open is above high.*in 254 of 300 rows; are columns swapped"),
    ("one_newline.csv", "it is empty"),
    ("thousands_dot.csv", "'10.000' can be thousands"),
    ("ts_and_time_only_list.parquet", "holds 'list<element: int64>', not days"),
    ("ts_float_nulls.parquet", "column close, .*missing.* in 300 of 300 rows"),
    ("ts_inf.parquet", "row 201: the timestamp is missing or not finite"),
    ("tv_dup_volume.csv", "2 columns named Volume"),
    ("tv_no_volume.csv", "no volume column: .*add a column volume of zeros"),
    (
        "two_symbols_by_time.csv",
        "several symbols in column symbol: A, B; choose one, as --symbol A",
    ),
    ("underscore_number.csv", "row 151 .*'1_000' is not a number"),
    ("us_ampm.csv", "can be two dates"),
    ("wti_negative.csv", "row 151 .*the price is not positive, got -2.0"),
    ("yfinance_two_tickers_flat.csv", "2 columns named Open"),
    ("yymmddhhmm_int.csv", "2401021430 looks like a date whose year has two digits"),
    ("zero_price_row.csv", "row 151 .*the price is not positive, got 0.0"),
    ("zero_rows_int_epoch.parquet", "has 0 rows"),
    ("zero_rows_str.parquet", "has 0 rows"),
]


def read(path, **options) -> RowsRead:
    content = find_content(path)
    table = TextTable.of(content) if content.kind == "text" else TypedTable.of(content)
    return read_rows(table, **{"timezone": None, "symbol": None, **options})


def test_every_export_is_in_the_tables():
    assert {path.name for path in EXPORTS.iterdir()} == {name for name, *_ in (*READ, *REFUSED)}


@pytest.mark.parametrize(
    ("name", "num_rows", "first", "last", "step_s", "first_close", "last_close", "volume"), READ
)
def test_an_export_is_read(name, num_rows, first, last, step_s, first_close, last_close, volume):
    rows = read(EXPORTS / name)
    steps, counts = np.unique(np.diff(rows.time), return_counts=True)
    assert len(rows.time) == num_rows
    assert (str(rows.time[0])[:16], str(rows.time[-1])[:16]) == (first, last)
    assert steps[counts.argmax()] == np.timedelta64(step_s, "s")
    assert (rows.values["close"][0], rows.values["close"][-1]) == (first_close, last_close)
    assert rows.values["volume"][0] == volume


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_an_export_is_refused_for_its_cause(name, message):
    with pytest.raises(WorkloadInputError, match=message) as error:
        load_bars(EXPORTS / name)
    assert len(str(error.value)) < 300


def test_a_file_from_new_to_old_is_turned_round():
    rows = read(EXPORTS / "coinbase.csv")
    assert rows.notes == ("The file runs from new to old and was turned round.",)


def test_rows_of_a_file_that_was_turned_round_keep_their_names(tmp_path):
    times = [str(time) for time in reversed(moments())]
    text = csv_of(times).replace("100.04,100.07,100.02,100.05,14", "100.04,100.07,100.02,109,14")
    with pytest.raises(WorkloadInputError, match="close, row 5 below the header: close is above"):
        read(saved(tmp_path, text))


def test_a_change_of_the_unit_is_said():
    rows = read(EXPORTS / "binance_ms_then_us.csv")
    assert rows.notes == (
        "Times are milliseconds, from row 151 below the header on microseconds since 1970.",
    )


def test_what_stands_below_the_rows_is_said():
    (note,) = read(EXPORTS / "barchart.csv").notes
    assert "Downloaded from Barchart.com" in note


def test_one_symbol_of_several_is_read():
    rows = read(EXPORTS / "two_symbols_by_time.csv", symbol="B")
    assert (len(rows.time), rows.values["close"][0]) == (29, 100.01)
    with pytest.raises(WorkloadInputError, match=r"--symbol C is not in .*; it has A, B"):
        read(EXPORTS / "two_symbols_by_time.csv", symbol="C")


def test_a_symbol_is_refused_where_the_file_has_none():
    with pytest.raises(WorkloadInputError, match="no column of symbols; leave --symbol out"):
        read(EXPORTS / "plain.csv.gz", symbol="A")


def test_times_without_a_zone_are_of_the_zone_that_is_given():
    rows = read(EXPORTS / "session_naive_ny_rth_1m.parquet", timezone="America/New_York")
    assert (str(rows.time[0]), rows.zone) == ("2024-01-03T14:30:00.000", "America/New_York")
    assert read(EXPORTS / "session_naive_ny_rth_1m.parquet").zone is None


@pytest.mark.parametrize("name", ["polygon_flat.csv", "str_iso_ms_z.parquet", "duka_local.csv"])
def test_a_zone_is_refused_where_the_file_has_one(name):
    with pytest.raises(WorkloadInputError, match="--timezone Asia/Tokyo is for times without a zo"):
        read(EXPORTS / name, timezone="Asia/Tokyo")


def test_an_unknown_zone_is_refused(tmp_path):
    with pytest.raises(WorkloadInputError, match="--timezone Mars/Base is not known"):
        load_bars(EXPORTS / "pipe.csv", timezone="Mars/Base")


@pytest.mark.parametrize(
    ("volumes", "first"),
    [
        ((0, 7), 7),  # currencies have no real volume
        ((5, 7), 5),
        ((0, 0), 0),
    ],
)
def test_the_volume_is_the_one_that_is_not_zero(tmp_path, volumes, first):
    header = "timestamp,open,high,low,close,VOL,TICKVOL"
    text = csv_of(moments(), header=header, volume=lambda row: "{},{}".format(*volumes))
    assert read(saved(tmp_path, text)).values["volume"][0] == first


def test_a_column_of_whole_times_wins_over_the_day_beside_it(tmp_path):
    header = "date,time,open,high,low,close,volume"
    pairs = [f"{time:%Y-%m-%d},{at}" for time, at in zip(moments(), epochs(moments()), strict=True)]
    rows = read(saved(tmp_path, csv_of(pairs, header=header)))
    assert (str(rows.time[0])[:16], rows.zone) == ("2024-01-02T14:30", "UTC")


def test_two_files_in_one_are_refused(tmp_path):
    text = csv_of(moments())
    with pytest.raises(WorkloadInputError, match=r"row 301 .*'timestamp' is not a timestamp"):
        read(saved(tmp_path, text + text))
    with pytest.raises(WorkloadInputError, match=r"row 301 .*before the row above.*several instr"):
        read(saved(tmp_path, text + text.partition("\n")[2]))
