"""The layout of a text from its first lines."""

import pytest

from exports import csv_of, epochs, moments, prices_of, saved
from trainables.market.bars import load_bars
from trainables.market.reading.layout import find_layout
from trainables.workload import WorkloadInputError

HEADER = "timestamp,open,high,low,close,volume"
TEXT = csv_of(moments())


def rows_of(cells, delimiter=",") -> str:
    """Lines without a header; `cells` makes one of a time and open, high, low, close, volume."""
    lines = []
    for row, time in enumerate(moments()):
        prices = [f"{price:.2f}" for price in prices_of(row)]
        lines.append(delimiter.join(map(str, cells(time, *prices, 10 + row))))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    assert load_bars(saved(tmp_path, csv_of(moments(), delimiter=delimiter))).close[0] == 100.01


@pytest.mark.parametrize(
    "text",
    [
        "https://www.example.com\n" + TEXT,
        "# made by x\n# y, z\n" + TEXT,
        "Symbol: X\nFrom: 2024\n\n" + TEXT,
        "sep=,\n" + TEXT,
        TEXT.replace(HEADER, HEADER + ","),
        TEXT.replace("\n", ",\n"),
        TEXT.replace("\n", ",\n").replace(HEADER + ",", HEADER),
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in TEXT.splitlines()),
        TEXT.replace(",", " "),
        TEXT.replace(",", ", "),
        TEXT + "\nTotal\nbars: 300\n",
    ],
)
def test_what_stands_around_the_columns_does_not_matter(tmp_path, text):
    bars = load_bars(saved(tmp_path, text))
    assert (len(bars), str(bars.time[-1])[:16]) == (300, "2024-01-02T19:29")


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [
        (lambda t, o, h, low, c, v: (epochs([t])[0], o, h, low, c, v, 3), ","),  # Kraken
        (
            lambda t, o, h, low, c, v: (
                (ms := 1000 * epochs([t])[0]), o, h, low, c, v, ms + 59_999, 1, 2, 3, 4, 0,
            ),
            ",",
        ),  # Binance
        (lambda t, o, h, low, c, v: (f"{t:%Y%m%d %H%M%S}", o, h, low, c, v), ";"),  # NinjaTrader
        (lambda t, o, h, low, c, v: (f"{t:%Y.%m.%d}", f"{t:%H:%M}", o, h, low, c, v), ","),  # MT4
        (lambda t, o, h, low, c, v: (f"{t:%Y%m%d}", f"{t:%H%M%S}", o, h, low, c, v), ","),
        (lambda t, o, h, low, c, v: (t, o, h, low, c, v), ","),  # FirstRate
        (lambda t, o, h, low, c, v: (t, o, h, low, c, v, ""), ","),
        (lambda t, *cells: (t, *(str(cell).replace(".", ",") for cell in cells)), ";"),
    ],
)  # fmt: skip
def test_known_layouts_without_a_header_are_read(tmp_path, cells, delimiter):
    bars = load_bars(saved(tmp_path, rows_of(cells, delimiter)))
    assert (len(bars), str(bars.time[0])[:16]) == (300, "2024-01-02T14:30")
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (100, 100.03, 99.98, 100.01)
    assert bars.volume[0] == 10


@pytest.mark.parametrize(
    "cells",
    [
        lambda t, o, h, low, c, v: (epochs([t])[0], low, h, o, c, v),  # Coinbase
        lambda t, o, h, low, c, v: (epochs([t])[0] * 1000, o, c, h, low, v),  # Bitfinex
        lambda t, o, h, low, c, v: (t, c, h, low, o, v),  # yfinance
        lambda t, o, h, low, c, v: (t, o, h, low, c),
        lambda t, o, h, low, c, v: (t, o, h, low, c, c, v),  # an adjusted close
        lambda t, o, h, low, c, v: (t, o, h, low, c, c),
        lambda t, o, h, low, c, v: (epochs([t])[0], o, h, low, c, c, v),
        lambda t, o, h, low, c, v: (t, v, o, h, low, c),
        lambda t, o, h, low, c, v: ("X", t, o, h, low, c, v),
        lambda t, o, h, low, c, v: (epochs([t])[0], o, h, low, c, c, v, 1),
    ],
)
def test_other_orders_without_a_header_are_refused(tmp_path, cells):
    with pytest.raises(WorkloadInputError, match=r"the first line is data .*add a header line"):
        load_bars(saved(tmp_path, rows_of(cells)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace(HEADER, HEADER + ",x"), "has 7 columns and the rows below it 6"),
        (TEXT.replace("\n2024", "\n7,2024"), "has 6 columns and the rows below it 7"),
        (TEXT.replace(",", "  "), "runs of spaces"),
        (TEXT.replace("\n", "\n1,2,3,4,5,6,7,8\n", 1), "row 1 below the header has 8 cells"),
        (TEXT + "2024-01-02 19:30:00,100.0\n", "row 301 below the header has 2 cells"),
        (TEXT[:-12], "row 300 below the header has 4 cells"),
        (TEXT + "301\n", "row 301 below the header has 1 cells"),
        (TEXT.replace("\n2024-01-02 14:40", "\nnote\n2024-01-02 14:40"), "row 11 .* has 1 cells"),
    ],
)
def test_rows_of_other_lengths_are_named(tmp_path, text, message):
    with pytest.raises(WorkloadInputError, match=message):
        load_bars(saved(tmp_path, text))


def test_two_levels_of_names_give_the_instruments():
    text = "Price,Close,Close\nTicker,A,B\nDate,,\n2024-01-02,1,2\n"
    layout = find_layout(text, "bars.csv", is_whole=True)
    assert layout.names == ("Date", "Close", "Close")
    assert (layout.tickers, layout.skipped_lines) == (("", "A", "B"), 3)
