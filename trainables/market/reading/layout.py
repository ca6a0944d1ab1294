"""The layout of a text of bars, from its first lines: delimiter, names, where the rows begin.

Pure, stdlib only.
"""

import csv
import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Sequence

from trainables.market.reading.columns import role_of
from trainables.market.reading.rows import listed, shown
from trainables.workload import WorkloadInputError

_DELIMITERS = ",;\t| "
_MOST_PREAMBLE = 40  # lines above the header: a site's address, comments, names of instruments
_LEAST_ROLES = 3  # names that we know, before a line counts as the header
_SAMPLE_LINES = 400
_NUMBER = re.compile(r"^[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?$")
_DAY = re.compile(r"^(\d{8}|\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})$")
_CLOCK = re.compile(r"^(\d{4}|\d{6}|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)( ?[AaPp][Mm])?$")
_TIME = re.compile(r"^\d{2,}[-./: T\d]*(Z|[+-]\d{2}:?\d{2})?$")
_COUNT = re.compile(r"^\d{9,19}$")
_OHLCV = ("open", "high", "low", "close", "volume")
_KLINE = (
    "open_time",
    *_OHLCV,
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_ADD_A_HEADER = "add a header line like timestamp,open,high,low,close,volume"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a text.

    names: of the columns, in order. tickers: the instrument of each column, "" where none is said.
    skipped_lines: above the first row. has_header: whether the names are in the file.
    sample: cells of the first rows.
    """

    delimiter: str
    names: tuple[str, ...]
    tickers: tuple[str, ...]
    skipped_lines: int
    has_header: bool
    sample: tuple[tuple[str, ...], ...]


def find_layout(text: str, file: str, *, is_whole: bool) -> Layout:
    """Find the layout of a text by its first characters.

    Raises:
        WorkloadInputError: if its columns have no names and are of no known layout, or its rows
            have more or fewer cells than names.
    """
    lines = re.split(r"\r\n|\n|\r", text)
    if not is_whole:
        lines = lines[:-1]  # cut within
    lines = lines[:_SAMPLE_LINES]
    found = _find_header(lines)
    if found is None:
        return _without_header(lines, file)
    number, delimiter = found
    names = _cells(lines[number], delimiter)
    if delimiter == " " and "" in names:
        raise WorkloadInputError(
            f"{file}: its columns stand apart by runs of spaces; separate them by commas."
        )
    tickers, index, extra = _tickers_below(lines[number + 1 :], names, delimiter)
    names = (index, *names[1:]) if tickers else names
    first = number + 1 + extra
    sample = _rows(lines[first:], delimiter)
    names = _fitted(names, sample, file)
    if tickers and len(tickers) != len(names):
        tickers = ()
    return Layout(
        delimiter=delimiter,
        names=names,
        tickers=tickers or ("",) * len(names),
        skipped_lines=first,
        has_header=True,
        sample=sample,
    )


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:  # a cell beyond csv's limit
        return tuple(line.split(delimiter))


def _rows(lines: Sequence[str], delimiter: str) -> tuple[tuple[str, ...], ...]:
    return tuple(_cells(line, delimiter) for line in lines if line.strip("\x1a \t"))


def _find_header(lines: Sequence[str]) -> tuple[int, str] | None:
    """Return the number of the header line and the delimiter; `None` if the first line is data."""
    best, found = _LEAST_ROLES - 1, None
    for number, line in enumerate(lines[:_MOST_PREAMBLE]):
        for delimiter in _DELIMITERS:
            cells = _cells(line, delimiter)
            if any(_NUMBER.match(cell) for cell in cells):
                continue
            roles = len({role_of(cell) for cell in cells if cell} - {None})
            if roles > best:
                best, found = roles, (number, delimiter)
    if found is not None:
        return found
    number = next((i for i, line in enumerate(lines) if line.strip()), 0)
    delimiter = _delimiter_of_data(lines[number:])
    numbers = sum(bool(_NUMBER.match(cell)) for cell in _cells(lines[number], delimiter))
    return None if numbers >= len(_OHLCV) - 1 else (number, delimiter)


def _delimiter_of_data(lines: Sequence[str]) -> str:
    """Return the delimiter of lines without a header: it makes the same cells of all of them.

    The semicolon goes before the comma, which may be in its numbers.
    """
    lines = [line for line in lines[:20] if line.strip()]
    best, found = 1, ","
    for delimiter in ";\t|, ":
        counts = {len(_cells(line, delimiter)) for line in lines}
        if len(counts) == 1 and min(counts) > best:
            best, found = min(counts), delimiter
        if best > len(_OHLCV):
            break
    return found


def _tickers_below(
    lines: Sequence[str], names: Sequence[str], delimiter: str
) -> tuple[tuple[str, ...], str, int]:
    """Return the instruments of the columns, the index's name, and the number of their lines.

    Where names have two levels, pandas writes "Ticker,AAPL,AAPL" below the names, and then
    "Date,," with the name of the index alone.
    """
    nothing: tuple[tuple[str, ...], str, int] = ((), "", 0)
    if len(lines) < 2:
        return nothing
    first, second = (_cells(line, delimiter) for line in lines[:2])
    if len(first) != len(names) or not all(first[1:]):
        return nothing
    if any(_NUMBER.match(cell) for cell in first[1:]) or _TIME.match(first[0]):
        return nothing
    tickers = ("", *first[1:])
    if len(second) == len(names) and not any(second[1:]) and role_of(second[0]) == "timestamp":
        return tickers, second[0], 2
    if first[0].lower() in ("ticker", "symbol", "tickers", "symbols"):
        return tickers, "date", 1
    return nothing


def _fitted(
    names: tuple[str, ...], sample: Sequence[tuple[str, ...]], file: str
) -> tuple[str, ...]:
    """Return as many names as the rows have cells."""
    cells = Counter(len(row) for row in sample).most_common(1)[0][0] if sample else len(names)
    if cells == len(names):
        return names
    whole = [row for row in sample if len(row) == cells]
    if cells == len(names) + 1 and not any(row[-1] for row in whole):
        return (*names, "")  # each row ends with a delimiter
    split = cells > 1 and bool(_DAY.match(whole[0][0]) and _CLOCK.match(whole[0][1]))
    if cells == len(names) + 1 and role_of(names[0]) == "timestamp" and split:
        return ("date", "time", *names[1:])  # the delimiter is also within the time
    if cells == len(names) - 1 and not names[-1]:
        return names[:-1]
    raise WorkloadInputError(
        f"{file} is not a readable CSV, Parquet or Feather file: its header ({listed(names)}) has "
        f"{len(names)} columns and the rows below it {cells}; give each column one name."
    )


def _without_header(lines: Sequence[str], file: str) -> Layout:
    number = next(i for i, line in enumerate(lines) if line.strip())
    delimiter = _delimiter_of_data(lines[number:])
    sample = _rows(lines[number:], delimiter)
    names = _names_of_data([row for row in sample if len(row) == len(sample[0])])
    if names is None:
        raise WorkloadInputError(
            f"{file}: the first line is data ({shown(lines[number])}) and its columns are in no "
            f"order that is known; {_ADD_A_HEADER}."
        )
    return Layout(
        delimiter=delimiter,
        names=names,
        tickers=("",) * len(names),
        skipped_lines=number,
        has_header=False,
        sample=sample,
    )


def _names_of_data(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the names of the columns of a known layout: MT4, HistData, Kraken, Binance, ...

    All have open, high, low, close and volume in this order, which the values must bear out.
    """
    cells = rows[0]
    trailing = not any(row[-1] for row in rows)
    width = len(cells) - trailing
    if _DAY.match(cells[0]) and _CLOCK.match(cells[1]):
        names: tuple[str, ...] | None = ("date", "time", *_OHLCV) if width == 7 else None
    elif not _TIME.match(cells[0]):
        names = None
    else:
        names = _names_by_width(width, cells)
    if names is None:
        return None
    opening = names.index("open")
    prices = [_prices(row[opening : opening + 4]) for row in rows]
    volumes = [row[opening + 4] for row in rows]
    if not _is_ohlc([price for price in prices if price]) or _are_prices(volumes, prices):
        return None
    return (*names, "") if trailing else names


def _names_by_width(width: int, cells: Sequence[str]) -> tuple[str, ...] | None:
    is_count = _COUNT.match(cells[0]) is not None
    if width == 6:
        return _KLINE[:6]
    if width == 7 and is_count and cells[6].isdigit():
        return (*_KLINE[:6], "trades")  # Kraken's
    if width == 12 and is_count and _COUNT.match(cells[6]) and int(cells[6]) > int(cells[0]):
        return _KLINE
    return None


def _are_prices(
    cells: Sequence[str], prices: Sequence[tuple[float, float, float, float] | None]
) -> bool:
    """Return whether what should be volumes are adjusted closes, which lie within their bars."""
    inside = [
        price[2] <= float(cell.replace(",", ".")) <= price[1]
        for cell, price in zip(cells, prices, strict=True)
        if price and _NUMBER.match(cell)
    ]
    return bool(inside) and sum(inside) > 0.5 * len(inside)


def _prices(cells: Sequence[str]) -> tuple[float, float, float, float] | None:
    if not all(_NUMBER.match(cell) for cell in cells):
        return None
    first, second, third, fourth = (float(cell.replace(",", ".")) for cell in cells)
    return first, second, third, fourth


def _is_ohlc(prices: Sequence[tuple[float, float, float, float]]) -> bool:
    """Return whether rows of four prices look like open, high, low, close.

    A bar opens where the one before closed, so its open lies nearer to that close than its close
    to that open; where the two are exchanged it is the other way round.
    """
    good = sum(
        low <= min(opened, close) <= max(opened, close) <= high
        for opened, high, low, close in prices
    )
    pairs = list(itertools.pairwise(prices))
    gaps = sum(abs(after[0] - before[3]) for before, after in pairs)
    crossed = sum(abs(after[3] - before[0]) for before, after in pairs)
    return bool(prices) and good >= 0.95 * len(prices) and gaps <= crossed
