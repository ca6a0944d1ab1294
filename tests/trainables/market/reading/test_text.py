"""The columns of a CSV."""

import pyarrow as pa
import pytest

from exports import csv_of, moments, saved
from trainables.market.reading.content import find_content
from trainables.market.reading.text import TextTable


def table(tmp_path, text) -> TextTable:
    return TextTable.of(find_content(saved(tmp_path, text)))


def test_columns_are_read_by_position_though_names_are_double(tmp_path):
    text = csv_of(moments(), header="timestamp,x,x,x,x,volume")
    read, note = table(tmp_path, text).read([0], [2, 4])
    assert list(read) == [0, 2, 4]
    assert (read[0].type, read[2].type) == (pa.string(), pa.float64())
    assert (read[2][0].as_py(), read[4][0].as_py(), note) == (100.03, 100.01, "")


def test_leading_zeros_are_kept(tmp_path):
    read, _ = table(tmp_path, csv_of(["0100"] * 300)).read([0], [1])
    assert read[0][0].as_py() == "0100"


def test_numbers_are_text_where_one_of_them_is_none(tmp_path):
    text = csv_of(moments())
    read, _ = table(tmp_path, text[:-1] + "x\n").read([0], [1, 5])
    assert read[5][299].as_py() == "309x"


@pytest.mark.parametrize(
    ("header", "delimiter", "are_decimal"),
    [
        ("timestamp,open,high,low,close,volume", ",", True),
        ("timestamp,open,high,low,close,volume", ";", False),
        ("timestamp,open,high,low,close,volume", "\t", False),
        ("<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", "\t", True),
    ],
)
def test_points_are_decimal_beside_commas_and_of_metatrader(
    tmp_path, header, delimiter, are_decimal
):
    text = csv_of(moments(), header=header, delimiter=delimiter)
    assert table(tmp_path, text).points_are_decimal == are_decimal


def test_the_lines_below_the_rows_are_said(tmp_path):
    _, note = table(tmp_path, csv_of(moments()) + "made by x\n\x1a").read([0], [1])
    assert note == "Below the last row stands 'made by x', which was left out."
