"""One instrument of several."""

import pyarrow as pa
import pytest

from trainables.market.reading.instruments import (
    columns_of_one,
    refuse_several_periods,
    refuse_symbol_without_names,
    rows_of_one,
    split_names,
)
from trainables.workload import WorkloadInputError

SYMBOLS = pa.chunked_array([["A", "B ", "A", None, "B"]])


@pytest.mark.parametrize("names", [["('Close', 'A')", "Date"], ["('A', 'Close')", "Date"]])
def test_names_of_two_levels_are_split(names):
    assert split_names(names) == (["Close", "Date"], ["A", ""])


def test_columns_of_one_instrument_and_of_none_are_kept():
    assert columns_of_one(["", "A", "B", "A"], "A", "f") == [0, 1, 3]
    assert columns_of_one(["", "A", "A"], None, "f") == [0, 1, 2]
    assert columns_of_one(["", ""], None, "f") == [0, 1]
    with pytest.raises(WorkloadInputError, match="f has several symbols: A, B; choose one, as --s"):
        columns_of_one(["", "A", "B"], None, "f")


def test_rows_of_one_instrument_are_chosen():
    assert rows_of_one(SYMBOLS, "s", "B", "f").tolist() == [1, 4]
    assert rows_of_one(pa.chunked_array([["A", "A"]]), "s", None, "f") is None
    assert rows_of_one(pa.chunked_array([[["A"], ["B"]]]), "s", None, "f") is None
    with pytest.raises(WorkloadInputError, match="f has several symbols in column s: A, B; choose"):
        rows_of_one(SYMBOLS, "s", None, "f")
    with pytest.raises(WorkloadInputError, match="f has rows without a symbol in column s; choose"):
        rows_of_one(pa.chunked_array([["A", None]]), "s", None, "f")
    for symbol in ("X", "None"):
        with pytest.raises(WorkloadInputError, match=f"--symbol {symbol} is not in f; it has A"):
            rows_of_one(pa.chunked_array([["A", None]]), "s", symbol, "f")


def test_many_symbols_make_a_bounded_sentence():
    symbols = pa.chunked_array([[f"S{i:04}" for i in range(5000)]])
    with pytest.raises(WorkloadInputError, match="S0011 and 4988 more; choose") as error:
        rows_of_one(symbols, "s", None, "f")
    assert len(str(error.value)) < 200


def test_several_lengths_of_bars_are_refused():
    with pytest.raises(WorkloadInputError, match="several lengths: column <PER> holds 1, 5"):
        refuse_several_periods(pa.chunked_array([["1", "5"]]), "<PER>", "f")
    refuse_several_periods(pa.chunked_array([["1", "1"]]), "<PER>", "f")


def test_a_symbol_needs_names():
    refuse_symbol_without_names(None, "f")
    with pytest.raises(WorkloadInputError, match="leave --symbol out"):
        refuse_symbol_without_names("A", "f")
