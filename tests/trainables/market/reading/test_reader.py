"""Files as the world exports them: read as they are meant, or refused with the cause."""

import numpy as np
import pytest

from export_tables import READ, REFUSED
from exports import EXPORTS, csv_of, epochs, moments, saved
from trainables.market.bars import load_bars
from trainables.market.reading.content import find_content
from trainables.market.reading.reader import RowsRead, read_rows
from trainables.market.reading.text import TextTable
from trainables.market.reading.typed import TypedTable
from trainables.workload import WorkloadInputError


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
