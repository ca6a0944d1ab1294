"""The columns of a Parquet or Feather file."""

import pyarrow as pa
import pyarrow.parquet
import pytest

from exports import EXPORTS, saved
from trainables.market.bars import load_bars
from trainables.market.reading.content import find_content
from trainables.market.reading.typed import TypedTable
from trainables.workload import WorkloadInputError


@pytest.mark.parametrize("name", ["x.parq", "freqtrade.feather"])
def test_columns_keep_their_types(name):
    table = TypedTable.of(find_content(EXPORTS / name))
    names = [name.lower() for name in table.names]
    time, close = names.index("date"), names.index("close")
    read, note = table.read([time], [close])
    assert pa.types.is_timestamp(read[time].type)
    assert (read[close][0].as_py(), note) == (100.01, "")


def bars_with(*more: tuple[str, pa.Array]) -> pa.Table:
    table = pyarrow.parquet.read_table(EXPORTS / "x.parq")
    for name, values in more:
        table = table.append_column(name, values)
    return table


def test_columns_that_nobody_reads_may_be_double_and_of_any_type(tmp_path):
    nested = pa.array([[1]] * 300)
    pyarrow.parquet.write_table(bars_with(("x", nested), ("x", nested)), tmp_path / "bars")
    assert len(load_bars(tmp_path / "bars")) == 300


def test_double_columns_that_are_read_are_named(tmp_path):
    pyarrow.parquet.write_table(bars_with(("close", pa.array([1.0] * 300))), tmp_path / "bars")
    with pytest.raises(WorkloadInputError, match="2 columns named close"):
        load_bars(tmp_path / "bars")


def test_a_table_without_columns_is_refused(tmp_path):
    pyarrow.parquet.write_table(pa.table({}), tmp_path / "bars")
    with pytest.raises(WorkloadInputError, match="no timestamp column"):
        load_bars(tmp_path / "bars")


def test_one_of_several_instruments_in_columns_is_chosen(tmp_path):
    fields = ("Open", "High", "Low", "Close", "Volume")
    dates = pyarrow.parquet.read_table(EXPORTS / "x.parq")["Date"]
    columns = {
        f"('{field}', '{ticker}')": pa.array([price] * 300)
        for ticker, price in (("A", 1), ("B", 2))
        for field in fields
    }
    pyarrow.parquet.write_table(pa.table({"Date": dates, **columns}), tmp_path / "bars")
    assert load_bars(tmp_path / "bars", symbol="B").close[0] == 2
    with pytest.raises(WorkloadInputError, match="several symbols: A, B; choose one"):
        load_bars(tmp_path / "bars")


def test_a_packed_file_is_read_in_memory(tmp_path):
    path = saved(tmp_path, pa.compress((EXPORTS / "x.parq").read_bytes(), "gzip", asbytes=True))
    assert TypedTable.of(find_content(path)).names[0] == "open"
