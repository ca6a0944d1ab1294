"""Columns by their names."""

import pytest

from trainables.market.reading.columns import find_columns, plain_name, role_of
from trainables.workload import WorkloadInputError

PRICES = ["open", "high", "low", "close"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("<CLOSE>", "close"),
        (" Tick_Volume ", "tickvolume"),
        ("4. close", "close"),
        ("__index_level_0__", "indexlevel0"),
        ("Gmt time", "gmttime"),
        ('"Open"', "open"),
    ],
)
def test_names_are_compared_plainly(name, plain):
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    "time",
    [
        "timestamp", "Date", "time", "datetime", "date_time", "open_time", "Open time", "unix", "t",
        "ts_event",
        "window_start", "trade_time", "begin", "<DTYYYYMMDD>", "Gmt time", "Local time", "",
        "__index_level_0__", "Unnamed: 0", "index",
    ],
)  # fmt: skip
def test_times_have_aliases(time):
    assert find_columns([time, *PRICES, "volume"], "f").time == 0


@pytest.mark.parametrize("close", ["Close", "c", "Last", "Latest", "Close/Last", "4. close"])
@pytest.mark.parametrize("volume", ["vol", "v", "Volume_(BTC)", "Volume BTC", "TICKVOL", "Vol."])
def test_closes_and_volumes_have_aliases(close, volume):
    found = find_columns(["t", "o", "h", "l", close, volume, "Volume USDT", "Adj Close"], "f")
    assert (found.prices, found.volumes) == ((1, 2, 3, 4), (5,))


def test_the_close_is_preferred_to_the_last_price():
    assert find_columns(["t", *PRICES[:3], "last", "close", "v"], "f").prices[3] == 5


def test_the_best_volume_comes_first():
    names = ["t", *PRICES, "tick_volume", "real_volume"]
    assert find_columns(names, "f").volumes == (6, 5)


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["date", "time", *PRICES, "v"], (0, 1)),
        (["<DTYYYYMMDD>", "<TIME>", *PRICES, "v"], (0, 1)),
        (["timestamp", "date", "time", *PRICES, "v"], (0, None)),
        (["date", "unix", "time", *PRICES, "v"], (1, None)),
        (["time", *PRICES, "v"], (0, None)),
    ],
)
def test_a_column_of_whole_times_wins(names, place):
    found = find_columns(names, "f")
    assert (found.time, found.clock) == place


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["t", *PRICES, "Volume", "Volume"], r"2 columns named Volume \(columns 6, 7\)"),
        (["t", *PRICES, "close", "v"], "2 columns named close"),
        (["date", "date", "time", *PRICES, "v"], "2 columns named date"),
        (["t", "t", *PRICES, "v"], "2 columns named t "),
        (["t", *PRICES], "no volume column.*add a column volume of zeros"),
        (["t", *PRICES, "Volume BTC", "Volume ETH"], "several volumes: Volume BTC, Volume ETH"),
        (["x", *PRICES, "v"], "no timestamp column"),
        (["t", "o", "h", "l", "v"], "no close column"),
        ([f"x{i}" for i in range(500)], "x11 and 488 more; name one"),
        (["x" * 10_000], "xxx\\.\\.\\.; name one"),
    ],
)
def test_lacks_and_doubles_are_named_in_a_bounded_sentence(names, message):
    with pytest.raises(WorkloadInputError, match=message) as error:
        find_columns(names, "bars.csv")
    assert len(str(error.value)) < 400


def test_columns_of_others_have_no_role():
    assert role_of("Adj Close") is None
    assert role_of("ticker") == "symbol"
