"""The choice of one instrument of a file that holds several, in columns or in rows."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading.arrow_arrays import numpy_of
from trainables.market.reading.columns import role_of
from trainables.market.reading.rows import listed
from trainables.workload import WorkloadInputError

_PAIR = re.compile(r"^\(['\"](.*?)['\"], ['\"](.*?)['\"]\)$")


def split_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns' names and instruments, of names like "('Close', 'AAPL')", in any order.

    Parquet has such names where a table of pandas had two levels of them.
    """
    fields, tickers = [], []
    for name in names:
        match = _PAIR.match(name)
        field, ticker = match.groups() if match else (name, "")
        if match and role_of(field) is None and role_of(ticker) is not None:
            field, ticker = ticker, field
        fields.append(field)
        tickers.append(ticker)
    return fields, tickers


def columns_of_one(tickers: Sequence[str], symbol: str | None, file: str) -> list[int]:
    """Return the positions of the columns of one instrument, and of those that belong to none.

    Raises:
        WorkloadInputError: if there are several instruments and none of them was chosen.
    """
    there = sorted({ticker for ticker in tickers if ticker})
    chosen = _choose(there, symbol, file) if there else None
    return [i for i, ticker in enumerate(tickers) if ticker in ("", chosen)]


def rows_of_one(
    column: pa.ChunkedArray, name: str, symbol: str | None, file: str
) -> np.ndarray | None:
    """Return the indices of one instrument's rows, `None` for all of them.

    Raises:
        WorkloadInputError: if there are several instruments and none of them was chosen.
    """
    if pa.types.is_nested(column.type):  # lists are no symbols, whatever they are called
        refuse_symbol_without_names(symbol, file)
        return None
    values = pc.unique(column).to_pylist()
    there = sorted({str(value).strip() for value in values if value is not None})
    chosen = _choose(there, symbol, file, of=f" in column {name}")
    if len(there) + (None in values) < 2:
        return None
    if symbol is None:
        raise WorkloadInputError(
            f"{file} has rows without a symbol in column {name}; choose the others, as --symbol "
            f"{chosen}, or drop the column."
        )
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return np.flatnonzero(numpy_of(pc.fill_null(pc.equal(text, chosen), False)))


def refuse_several_periods(column: pa.ChunkedArray, name: str, file: str) -> None:
    """Refuse bars of several lengths in one file.

    Raises:
        WorkloadInputError: if the column has more than one value.
    """
    there = pc.unique(column).to_pylist()
    if len(there) > 1:
        raise WorkloadInputError(
            f"{file} has bars of several lengths: column {name} holds {listed(there)}; keep one."
        )


def refuse_symbol_without_names(symbol: str | None, file: str) -> None:
    """Refuse a chosen symbol where the file names no instrument.

    Raises:
        WorkloadInputError: if `symbol` is not None.
    """
    if symbol is not None:
        raise WorkloadInputError(
            f"--symbol {symbol}: {file} has no column of symbols; leave --symbol out."
        )


def _choose(there: Sequence[str], symbol: str | None, file: str, of: str = "") -> str | None:
    if symbol is not None and symbol not in there:
        raise WorkloadInputError(
            f"--symbol {symbol} is not in {file}; it has {listed(there)}; name one of them."
        )
    if symbol is None and len(there) > 1:
        raise WorkloadInputError(
            f"{file} has several symbols{of}: {listed(there)}; choose one, as --symbol {there[0]}."
        )
    return symbol if symbol is not None else next(iter(there), None)
