"""Numbers as other countries write them: one reading, or none."""

import numpy as np
import pyarrow as pa
import pytest

from exports import csv_of, moments, saved
from trainables.market.bars import load_bars
from trainables.market.reading.numbers import is_plain, show_decimals, to_floats
from trainables.market.reading.rows import RowNames
from trainables.workload import WorkloadInputError

ROWS = RowNames(file="bars.csv")


def point_for_comma(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


def german(price: float) -> str:
    return point_for_comma(f"{price:,.2f}")


@pytest.mark.parametrize(
    ("number", "base", "delimiter"),
    [
        (german, 100.0, ";"),
        (german, 10_000.0, ";"),
        (german, 10_000_000.0, "\t"),
        (lambda price: f'"{german(price)}"', 10_000.0, ","),
        (lambda price: f'"{price:,.2f}"', 12_000.0, ","),
        (lambda price: f"{price:,.2f}".replace(",", "'"), 12_000.0, ","),
        (lambda price: german(price).replace(".", " "), 12_000.0, ";"),
        (lambda price: german(price).replace(".", "\u00a0"), 12_000.0, ";"),
        (lambda price: german(price).replace(".", "\u202f"), 12_000.0, ";"),
        (lambda price: f"{price:.4f}", 100.0, ";"),
        (lambda price: f"{price:.4f}".replace(".", ","), 100.0, ";"),
        (lambda price: f"{price:.3f}", 100.0, ","),
        (lambda price: f"{price:.3f}", 1234.0, ";"),
        (lambda price: f"{price:.3f}", 0.5, ";"),
        (lambda price: f"{price:.3f}".replace(".", ","), 0.5, ";"),
        (lambda price: f"+{price:.2f}", 100.0, ","),
        (lambda price: f" {price:.2f} ", 100.0, ","),
        (lambda price: f"{price:.5e}", 100.0, ","),
    ],
)
def test_prices_are_read(tmp_path, number, base, delimiter):
    text = csv_of(moments(), number=number, base=base, delimiter=delimiter)
    bars = load_bars(saved(tmp_path, text))
    assert bars.close[0] == pytest.approx(base + 0.01, rel=1e-5)
    assert bars.close[-1] == pytest.approx(base + 0.06, rel=1e-5)


@pytest.mark.parametrize(
    ("number", "base", "delimiter"),
    [
        (lambda price: f"{price:.3f}", 100.0, ";"),
        (lambda price: f"{price:.3f}", 100.0, "\t"),
        (lambda price: f"{price:.3f}", 100.0, "|"),
        (lambda price: f"{price:.3f}".replace(".", ","), 100.0, ";"),
        (lambda price: f'"{price * 1000:,.0f}"', 12.0, ","),
    ],
)
def test_what_may_be_thousands_or_decimals_is_refused(tmp_path, number, base, delimiter):
    text = csv_of(moments(), number=number, base=base, delimiter=delimiter)
    with pytest.raises(WorkloadInputError, match=r"row 1 below the header: .* can be thousands"):
        load_bars(saved(tmp_path, text))


def test_points_of_metatrader_are_decimal(tmp_path):
    header = "<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"
    text = csv_of(moments(), header=header, number="{:.3f}".format, delimiter="\t")
    assert load_bars(saved(tmp_path, text)).close[0] == 100.01


@pytest.mark.parametrize(
    ("number", "volume"),
    [
        (german, lambda row: point_for_comma(f"{900 + row:,}")),
        (german, lambda row: str(900 + row)),
    ],
)
def test_marks_of_thousands_in_the_volume_alone(tmp_path, number, volume):
    text = csv_of(moments(), number=number, volume=volume, delimiter=";")
    assert load_bars(saved(tmp_path, text)).volume[-1] == 1199


def test_volumes_that_become_thousands_within_a_file_are_not_taken_for_decimals(tmp_path):
    text = csv_of(
        moments(),
        number=lambda price: f"{price * 100:.0f}",
        volume=lambda row: point_for_comma(f"{900 + row:,}"),
        delimiter=";",
    )
    with pytest.raises(WorkloadInputError, match=r"volume, row 101 .*'1.000' can be thousands"):
        load_bars(saved(tmp_path, text))


@pytest.mark.parametrize(
    "cell",
    ["-", "\u0661\u0660\u0660", "1_000", '"1,5"', "1 000", "0x10", "true",
        "(100)", "1.2.3", "$1", "3K"],
)  # fmt: skip
@pytest.mark.parametrize("row", [1, 150, 300])
def test_the_cell_that_is_no_number_is_named(tmp_path, cell, row):
    lines = csv_of(moments()).splitlines()
    cells = lines[row].split(",")
    lines[row] = ",".join([*cells[:4], cell, cells[5]])
    with pytest.raises(WorkloadInputError, match=f"close, row {row} below .* is not a number; cor"):
        load_bars(saved(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("number", ["${:.2f}".format, "{:.2f} USD".format])
def test_a_fault_of_the_column_is_said_as_such(tmp_path, number):
    text = csv_of(moments(), number=number)
    with pytest.raises(
        WorkloadInputError, match=r"row 1 .* so are 300 of 300 cells; write them li"
    ):
        load_bars(saved(tmp_path, text))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["100,5"] * 3),
        pa.array(["100.5"] * 3, pa.large_string()),
        pa.array(["100.5"] * 3, pa.string_view()),
        pa.array([b"100.5"] * 3),
        pa.array(["100.5"] * 3).dictionary_encode(),
        pa.array([100.5] * 3).dictionary_encode(),
        pa.array([100.5] * 3, pa.float32()),
        pa.array([100.5] * 3, pa.float16()),
        pa.array([10050] * 3, pa.int64()).cast(pa.decimal128(20, 0)),
    ],
)
def test_columns_of_many_types_are_numbers(values):
    floats = to_floats({"close": pa.chunked_array([values])}, ROWS)["close"]
    assert floats.dtype == np.float64
    assert floats[2] in (100.5, 10050.0)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True]),
        pa.array([[1.0]]),
        pa.array([{"a": 1}]),
        pa.array([1], pa.timestamp("s")),
        pa.array([1], pa.duration("s")),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    ],
)
def test_columns_of_other_types_are_refused(values):
    with pytest.raises(WorkloadInputError, match=r"column close holds .*, not numbers"):
        to_floats({"close": pa.chunked_array([values])}, ROWS)


def test_cells_of_a_sample():
    assert is_plain(["100.5", "", "nan", "1e5"])
    assert not is_plain(["100,5"])
    assert show_decimals(["1.000", "1.5"])
    assert not show_decimals(["1.000", "999"])
    assert not show_decimals(["999"])


def test_thousands_that_begin_late_in_a_file_are_not_taken_for_decimals(tmp_path):
    text = csv_of(
        moments(count=1000),
        number=lambda price: f"{price * 100:.0f}",
        volume=lambda row: point_for_comma(f"{100 + row:,}"),
        delimiter=";",
    )
    with pytest.raises(WorkloadInputError, match=r"volume, row 901 .*'1.000' can be thousands"):
        load_bars(saved(tmp_path, text))
