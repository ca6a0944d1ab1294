"""The numbers of a column: plain, or as texts of other countries. NumPy and pyarrow only, pure.

Texts have a decimal mark, perhaps a mark of thousands, and no more. All columns of a file have one
style. "10.000" is ten or ten thousand; where nothing in the file tells which, it is refused.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading.arrow_arrays import as_text, is_text, numpy_of, text_array
from trainables.market.reading.rows import CellNames, RowNames, shown
from trainables.workload import WorkloadInputError

_SIGN = r"^\s*[-+]?"
_TO_BE_MISSING = r"^\s*(?i:|nan|-nan|null|none|n/a|na|#n/a|[-+]?inf|[-+]?infinity)\s*$"
_MOSTLY = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Style:
    """A way of writing numbers: its marks, and what a whole cell looks like."""

    decimal: str
    thousands: str
    cell: str


_PLAIN = _Style(decimal=".", thousands="", cell=rf"{_SIGN}(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$")
_STYLES = (
    _PLAIN,
    _Style(decimal=",", thousands=".", cell=rf"{_SIGN}(\d+|[1-9]\d{{0,2}}(\.\d{{3}})+)(,\d+)?\s*$"),
    _Style(decimal=".", thousands=",", cell=rf"{_SIGN}(\d+|[1-9]\d{{0,2}}(,\d{{3}})+)(\.\d+)?\s*$"),
    _Style(
        decimal=",",
        thousands=" ",
        cell=rf"{_SIGN}(\d+|\d{{1,3}}([ \x{{a0}}\x{{202f}}]\d{{3}})+)(,\d+)?\s*$",
    ),
    _Style(decimal=".", thousands="'", cell=rf"{_SIGN}(\d+|\d{{1,3}}('\d{{3}})+)(\.\d+)?\s*$"),
)
_THREE_DECIMALS = r"^\s*[-+]?(\d+|[1-9]\d{0,2}\.\d{3})\s*$"


def is_plain(cells: Sequence[str]) -> bool:
    """Return whether these cells are numbers that Arrow's CSV reader parses as they are."""
    return _all_match([pa.chunked_array([text_array(cells)])], _PLAIN.cell)


def show_decimals(cells: Sequence[str]) -> bool:
    """Return whether a point in these cells is no mark of thousands: it is one in "10.000"."""
    column = pa.chunked_array([text_array([cell for cell in cells if "." in cell])])
    return len(column) > 0 and not _all_match([column], _THREE_DECIMALS)


def to_floats(
    columns: Mapping[str, pa.ChunkedArray], rows: RowNames, *, points_are_decimal: bool = True
) -> dict[str, np.ndarray]:
    """[num_rows] float64 of each column by name; what is missing is NaN.

    `points_are_decimal` says whether the place that these columns come from writes "10.000" for
    ten.

    Raises:
        WorkloadInputError: if a column holds no numbers, or a cell is none.
    """
    texts = {name: as_text(column) for name, column in columns.items() if is_text(column.type)}
    style = _style_of(texts, rows, points_are_decimal) if texts else _PLAIN
    found = {}
    for name, column in columns.items():
        if name in texts:
            found[name] = _parse(texts[name], style, rows.of(name))
        else:
            found[name] = _cast(column, name)
    return found


def _cast(column: pa.ChunkedArray, name: str) -> np.ndarray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        raise WorkloadInputError(
            f"column {name} holds {shown(str(kind))}, not numbers; write it as numbers."
        )
    return numpy_of(column.cast(pa.float64(), safe=False))


def _all_match(columns: Sequence[pa.ChunkedArray], pattern: str) -> bool:
    either = f"{pattern}|{_TO_BE_MISSING}"
    return all(
        pc.all(pc.match_substring_regex(column, either), min_count=0).as_py() for column in columns
    )


def _style_of(
    texts: Mapping[str, pa.ChunkedArray], rows: RowNames, points_are_decimal: bool
) -> _Style:
    columns = list(texts.values())
    fitting = [style for style in _STYLES if _all_match(columns, style.cell)]
    if not fitting:
        return _commonest(columns)
    german, english = _STYLES[1], _STYLES[2]
    marked = _any_holds(columns, "."), _any_holds(columns, ",")
    ambiguous = (
        _PLAIN in fitting and german in fitting and marked[0] and not points_are_decimal
    ) or (german in fitting and english in fitting and marked[1])
    if ambiguous:
        name, index, value = _first_with_mark(texts, "," if marked[1] else ".")
        raise WorkloadInputError(
            f"column {name}, {rows.name(index)}: {shown(value)} can be thousands or a number with "
            "three decimals, and no other cell tells which; write all numbers with a decimal point "
            "and two or four decimals."
        )
    return fitting[0]


def _any_holds(columns: Sequence[pa.ChunkedArray], mark: str) -> bool:
    return any(pc.any(pc.match_substring(column, mark)).as_py() for column in columns)


def _first_with_mark(texts: Mapping[str, pa.ChunkedArray], mark: str) -> tuple[str, int, str]:
    for name, column in texts.items():
        marked = numpy_of(pc.fill_null(pc.match_substring(column, mark), False))
        if marked.any():
            index = int(np.argmax(marked))
            return name, index, column[index].as_py()
    raise AssertionError("a column has the mark")


def _commonest(columns: Sequence[pa.ChunkedArray]) -> _Style:
    def fitting(style: _Style) -> int:
        return sum(
            pc.sum(pc.match_substring_regex(column, style.cell)).as_py() or 0 for column in columns
        )

    return max(_STYLES, key=fitting)


def _parse(column: pa.ChunkedArray, style: _Style, cells: CellNames) -> np.ndarray:
    known = pc.match_substring_regex(column, f"{style.cell}|{_TO_BE_MISSING}")
    good = numpy_of(pc.fill_null(known, True))
    if not good.all():
        index = int(np.argmin(good))
        bad = int((~good).sum())
        value = column[index].as_py()
        if bad > max(1, _MOSTLY * len(good)):
            raise cells.unread(
                index,
                value,
                f"is not a number, and so are {bad} of {len(good)} cells; write them like 1234.56",
            )
        raise cells.unread(index, value, "is not a number; correct or drop the row")
    missing = pc.match_substring_regex(column, _TO_BE_MISSING)
    column = pc.if_else(missing, pa.scalar(None, pa.string()), column)
    column = pc.replace_substring_regex(column, r"[\s+\x{a0}\x{202f}]", "")
    if style.thousands:
        column = pc.replace_substring(column, style.thousands, "")
    if style.decimal != ".":
        column = pc.replace_substring(column, style.decimal, ".")
    return numpy_of(column.cast(pa.float64()))
