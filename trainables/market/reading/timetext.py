"""Times written as text, in one of many forms, as the text of ISO 8601 that Arrow reads strictly.

Arrow's cast knows the calendar: 30 February is an error, where `strptime` makes 1 March of it. So
other forms are rewritten and then cast. Forms that can be two dates are not rewritten.
"""

import calendar
import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading.arrow_arrays import numpy_of, text_array
from trainables.market.reading.moments import Times
from trainables.market.reading.rows import CellNames, shown
from trainables.workload import WorkloadInputError

_SAMPLE_ROWS = 1000
_COUNTS = r"^\d{8,18}$"
_KINDS = tuple((unit, zone) for zone in (None, "UTC") for unit in ("ms", "us", "ns"))
_HALF_DAY = np.timedelta64(12, "h")
_MONTHS = tuple(
    (rf"(?i)\b(\d{{1,2}})[ \-/]?{name}[a-z]*[ \-/,]*(\d{{4}})", rf"\2-{number:02}-\1")
    for number, name in enumerate(calendar.month_abbr)
    if name
) + tuple(
    (rf"(?i)^{name}[a-z]*\.? (\d{{1,2}}),? (\d{{4}})", rf"\2-{number:02}-\1")
    for number, name in enumerate(calendar.month_abbr)
    if name
)
_REWRITES: tuple[tuple[str, str], ...] = (
    (r"^\s+|\s+$", ""),
    (r"\s+", " "),
    (r"^(\d{4}-\d{2}-\d{2})t", r"\1T"),
    (r"(?i) ?(?:GMT|UTC)([+-]\d{2}):?(\d{2})$", r"\1\2"),
    (r"(?i) ?(?:GMT|UTC|Z)$", "Z"),
    (r" ([+-]\d{2}:?\d{2})$", r"\1"),
    *_MONTHS,
    (r"^(\d{1,2})\.(\d{1,2})\.(\d{4}),?", r"\3-\2-\1"),  # with points the day comes first
    (r"^(\d{4})[./](\d{1,2})[./](\d{1,2})", r"\1-\2-\3"),
    (r"^(\d{4})(\d{2})(\d{2})([ T]|$)", r"\1-\2-\3\4"),
    (r"^(\d{4})-(\d)-", r"\1-0\2-"),
    (r"^(\d{4}-\d{2})-(\d)([ T]|$)", r"\1-0\2\3"),
    (r"^([\d-]{10}),? (\d{1,2})-([AaPp][Mm])$", r"\1 \2 \3"),
    (r"^([\d-]{10})[T ](\d):", r"\1 0\2:"),
    (r"^([\d-]{10})[T ](\d{2})(\d{2})(\d{2})(\d{3})$", r"\1 \2:\3:\4.\5"),
    (r"^([\d-]{10})[T ](\d{2})(\d{2})(\d{2})(Z|[+-]\d{2}:?\d{2}|$)", r"\1 \2:\3:\4\5"),
    (r"^([\d-]{10})[T ](\d{2})(\d{2})(Z|[+-]\d{2}:?\d{2}|$)", r"\1 \2:\3\4"),
    (r"(:\d{2}),(\d+)", r"\1.\2"),
    (r"(\.\d{9})\d+", r"\1"),
)
"""Patterns of RE2 and what takes their place, in this order."""

_HALVES = r"(?i)[ ]?([AP])\.?M\.?$"
_TWO_ORDERS = r"^\s*(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?:\D|$)"
_ZONE_NAME = r"^(.*\d) ([A-Z][A-Za-z]+/[A-Za-z_/]+)$"
_SHORT_YEAR = r"^\s*\d{1,2}[-./]\d{1,2}[-./]\d{1,2}(?:\D|$)"


def parse_times(column: pa.ChunkedArray, cells: CellNames) -> Times:
    """Return the times of text; they are UTC if it has zones.

    Raises:
        WorkloadInputError: naming the first row that cannot be read, or can be read in two ways.
    """
    if (quick := read_iso(column)) is not None:
        return quick
    _refuse_two_digit_years(column, cells)
    ordered = _in_one_order(column, cells)
    sample = ordered.slice(0, _SAMPLE_ROWS)
    if (fixed := _rearranged(ordered)) is not None and (quick := read_iso(fixed)) is not None:
        return quick
    for rules in (_rules_for(sample), _REWRITES):  # mostly the first rows show all that is needed
        text = _rewritten(ordered, rules)
        half = _halves(text)
        text = text if half is None else pc.replace_substring_regex(text, _HALVES, "")
        if (parsed := read_iso(text)) is not None:
            values = _with_halves(parsed.values, half, column, cells)
            return dataclasses.replace(parsed, values=values)
    raise not_a_time(column, _first_unread(text), cells)


def read_iso(text: pa.ChunkedArray) -> Times | None:
    """Return the times of text in ISO 8601, which are UTC if it has zones; `None` if it is not."""
    for unit, zone in _KINDS:
        if (found := _cast_to(text, pa.timestamp(unit, zone))) is not None:
            values = numpy_of(found).astype("datetime64[ms]")
            return Times(values=values, is_utc=zone is not None)
    return None


def type_of(cells: Sequence[str]) -> pa.DataType:
    """Return the type as which a CSV's column of times with these cells is read: often text."""
    sample = text_array(cells)
    if len(sample) and pc.all(pc.match_substring_regex(sample, _COUNTS)).as_py():
        return pa.int64()
    fitting = (pa.timestamp(unit, zone) for unit, zone in _KINDS)
    return next((kind for kind in fitting if _cast_to(sample, kind) is not None), pa.string())


def _rearranged(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Rewrite cells of one shape, in which digits alone differ; `None` for other columns.

    What the rules do to one cell shows where each digit goes, so that the bytes of all cells are
    moved at once. That is ten times as fast as the rules on each cell.
    """
    whole = text.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    cells = _as_bytes(whole)
    if cells is None:
        return None
    first = whole[0].as_py()
    places = [i for i, character in enumerate(first) if character.isdigit()]
    others = np.setdiff1d(np.arange(len(first)), places)
    digits = cells[:, places]
    if ((digits < ord("0")) | (digits > ord("9"))).any() or (
        cells[:, others] != cells[0, others]
    ).any():
        return None
    probes = [first[:i] + str((int(first[i]) + 1) % 10) + first[i + 1 :] for i in places]
    written = _rewritten(text_array([first, *probes]), _REWRITES).to_pylist()
    if len({len(one) for one in written}) != 1:
        return None
    pattern = np.frombuffer(written[0].encode(), np.uint8)
    moved = np.broadcast_to(pattern, (len(cells), len(pattern))).copy()
    for place, probe in zip(places, written[1:], strict=True):
        for target in np.flatnonzero(np.frombuffer(probe.encode(), np.uint8) != pattern):
            moved[:, target] = cells[:, place]
    offsets = np.arange(len(cells) + 1, dtype=np.int32) * len(pattern)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(moved)]
    return pa.chunked_array([pa.Array.from_buffers(pa.string(), len(cells), buffers)])


def _as_bytes(text: pa.StringArray) -> np.ndarray | None:
    """[num_rows, width] uint8 of cells of one width in ASCII, `None` of others."""
    if not len(text) or text.null_count or not text[0].as_py().isascii():
        return None
    _, offsets, data = text.buffers()
    bounds = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    width = int(bounds[1] - bounds[0])
    if not width or data is None or (np.diff(bounds) != width).any():
        return None
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]].reshape(len(text), width)


def _first_unread(text: pa.ChunkedArray) -> int:
    return max(_first_failure(text, pa.timestamp(unit, zone)) for unit, zone in _KINDS)


def _cast_to(text: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    for part in (text.slice(0, 1), text):  # a cast that fails goes on to the end all the same
        try:
            found = part.cast(kind)
        except pa.ArrowInvalid:
            return None
    return found


def _first_failure(text: pa.ChunkedArray, kind: pa.DataType) -> int:
    """Return the index of the first cell that cannot be cast, by halving what comes before it."""
    good, bad = 0, len(text)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _cast_to(text.slice(good, middle - good), kind) is None:
            bad = middle
        else:
            good = middle
    return good


def _rules_for(sample: pa.ChunkedArray) -> tuple[tuple[str, str], ...]:
    """Return those of the rules that change any of these cells."""
    kept = []
    for pattern, text in _REWRITES:
        changed = pc.replace_substring_regex(sample, pattern, text)
        if not changed.equals(sample):
            kept.append((pattern, text))
            sample = changed
    return tuple(kept)


def _rewritten(text: pa.ChunkedArray, rules: Sequence[tuple[str, str]]) -> pa.ChunkedArray:
    for pattern, replacement in rules:
        text = pc.replace_substring_regex(text, pattern, replacement)
    return text


def _in_one_order(column: pa.ChunkedArray, cells: CellNames) -> pa.ChunkedArray:
    """Put the year first where all cells are like 31/12/2023 and some cell tells day from month."""
    if not pc.all(pc.match_substring_regex(column.slice(0, 1), _TWO_ORDERS)).as_py():
        return column
    if not pc.all(pc.match_substring_regex(column, _TWO_ORDERS)).as_py():
        return column
    first, second = (_number_in(column, group) for group in (1, 2))
    if (first > 12).any() and not (second > 12).any():
        order = r"\3-\2-\1"
    elif (second > 12).any() and not (first > 12).any():
        order = r"\3-\1-\2"
    else:
        raise WorkloadInputError(
            f"{cells.name(0)}: {shown(column[0].as_py())} can be two dates, and no "
            "other row tells day from month; write 2024-01-31 14:30:00."
        )
    pattern = r"^\s*(\d{1,2})[/-](\d{1,2})[/-](\d{4})"
    return pc.replace_substring_regex(column, pattern, order)


def _number_in(column: pa.ChunkedArray, group: int) -> np.ndarray:
    whole = pc.replace_substring_regex(column, f"{_TWO_ORDERS}.*", rf"\{group}")
    return numpy_of(whole.cast(pa.int32()))


def _halves(text: pa.ChunkedArray) -> np.ndarray | None:
    """Return which times are after noon, `None` if they have 24 hours."""
    marked = numpy_of(pc.match_substring_regex(text, _HALVES))
    if not marked.any():
        return None
    after_noon = numpy_of(pc.match_substring_regex(text, r"(?i)P\.?M\.?$"))
    return np.where(marked, after_noon.astype(int), -1)


def _with_halves(
    time: np.ndarray, half: np.ndarray | None, column: pa.ChunkedArray, cells: CellNames
) -> np.ndarray:
    if half is None:
        return time
    hour = (time - time.astype("datetime64[D]")) // np.timedelta64(1, "h")
    bad = (half < 0) | (hour < 1) | (hour > 12)
    if bad.any():
        index = int(np.argmax(bad))
        reason = "is no hour of AM or PM, as others are; write 2024-01-31 14:30:00"
        raise cells.unread(index, column[index].as_py(), reason)
    noon = np.where(hour == 12, -_HALF_DAY, 0 * _HALF_DAY)
    return np.asarray(time + noon + np.where(half == 1, _HALF_DAY, 0 * _HALF_DAY))


def _refuse_two_digit_years(column: pa.ChunkedArray, cells: CellNames) -> None:
    short = numpy_of(pc.match_substring_regex(column.slice(0, _SAMPLE_ROWS), _SHORT_YEAR))
    if short.mean() > 0.5:
        index = int(np.argmax(short))
        reason = "has a year of two digits, so its order cannot be told; write 2024-01-31 14:30:00"
        raise cells.unread(index, column[index].as_py(), reason)


def not_a_time(column: pa.ChunkedArray, bad: int, cells: CellNames) -> WorkloadInputError:
    """Return the error of the one cell that is no time, in a column of text."""
    if not column[bad].as_py().strip():
        return WorkloadInputError(f"{cells.name(bad)}: the timestamp is missing; fill it in.")
    return cells.unread(bad, column[bad].as_py(), _why(column, bad))


def _why(column: pa.ChunkedArray, bad: int) -> str:
    value, other = column[bad].as_py(), column[0 if bad else min(1, len(column) - 1)].as_py()
    if not any(character.isdigit() for character in value):
        return f"is not a timestamp, unlike {shown(other)}; correct or drop the row"
    if value != other and _shape(value) == _shape(other) and len(column) > 1:
        return f"is no time of the calendar, though written like {shown(other)}; correct the row"
    return (
        f"is not a timestamp we can read without guessing, beside {shown(other)}; write all of "
        "them as 2024-01-31 14:30:00, or as seconds since 1970"
    )


def _shape(text: str) -> str:
    return "".join("0" if character.isdigit() else character for character in text.strip())


def split_zone(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str | None]:
    """Return text without the name of a zone that ends all of it, and the name: "US/Eastern"."""
    for part in (column.slice(0, 1), column):
        if not len(part) or not pc.all(pc.match_substring_regex(part, _ZONE_NAME)).as_py():
            return column, None
    zones = pc.unique(pc.replace_substring_regex(column, _ZONE_NAME, r"\2")).to_pylist()
    if len(zones) != 1:
        return column, None
    return pc.replace_substring_regex(column, _ZONE_NAME, r"\1"), str(zones[0])
