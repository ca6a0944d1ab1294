"""The times of bars from a file's columns: typed, text or numbers; one column or two."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading import epoch, timetext
from trainables.market.reading.arrow_arrays import numpy_of
from trainables.market.reading.rows import RowNames, refuse_first, shown
from trainables.workload import WorkloadInputError

_DIGITS = r"^\s*-?\d+(\.\d*)?\s*$"
_WHOLE = r"^\s*\d+\s*$"
_EXPONENT = r"^\s*\d[.,]?\d*[eE]\+?\d+\s*$"
_CLOCK = r"^\s*(\d{1,2}:\d{2}|\d{1,6}\s*$|\d{9}\s*$|\d{1,2} ?[AaPp][Mm])"
_MIDNIGHT = r"[ T]0?0:00(:00(\.0+)?)?$"
_SAMPLE_ROWS = 1000
_LARGEST_CLOCK = 235_959
_DAY_MS = np.timedelta64(86_400_000, "ms")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Times:
    """Times of all rows of a file, in its order.

    values: [num_rows] datetime64[ms]: UTC, or the wall clock of `zone`, or of none that is known.
    is_utc: whether the file says so, by a zone, an offset, or a count since 1970.
    zone: the name of a zone that the file writes beside its times, for those that are not UTC.
    note: what a person should know of the reading, "" for nothing.
    """

    values: np.ndarray
    is_utc: bool
    zone: str | None = None
    note: str = ""


def is_clock(column: pa.ChunkedArray) -> bool:
    """Return whether a column holds times of day and not whole times."""
    kind = column.type
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return True
    if not len(column):
        return False
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return bool(0 <= (pc.max(column).as_py() or 0) <= _LARGEST_CLOCK)
    if not _is_textual(kind):
        return False
    return bool(pc.all(pc.match_substring_regex(_text(column).slice(0, 100), _CLOCK)).as_py())


def read_times(column: pa.ChunkedArray, name: str, rows: RowNames) -> Times:
    """Read one column of whole times.

    Raises:
        WorkloadInputError: if a time is missing, cannot be read, or can be read in two ways.
    """
    refuse_first(
        numpy_of(column.is_null()),
        name,
        "the timestamp is missing",
        rows,
        remedy="fill it in",
        wide="name a column of times timestamp",
    )
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        values = numpy_of(column).astype("datetime64[ms]")  # with a zone: UTC already
        return Times(values=values, is_utc=getattr(kind, "tz", None) is not None)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64(), safe=False)
        kind = column.type
    if pa.types.is_integer(kind):
        return _from_numbers(numpy_of(column).astype(np.int64), name, rows)
    if pa.types.is_floating(kind):
        _refuse_rounded(column, name)
        return _from_numbers(numpy_of(column).astype(np.float64), name, rows)
    if _is_textual(kind):
        return _from_text(_text(column), name, rows)
    raise WorkloadInputError(
        f"column {name} holds {shown(str(kind))}, not timestamps; write them as 2024-01-31 "
        "14:30:00."
    )


def read_day_and_clock(
    day: pa.ChunkedArray, clock: pa.ChunkedArray, name: str, rows: RowNames
) -> Times:
    """Read two columns: the day, and the time of day.

    Raises:
        WorkloadInputError: see `read_times`.
    """
    for column in (day, clock):
        refuse_first(
            numpy_of(column.is_null()),
            name,
            "the timestamp is missing",
            rows,
            remedy="fill it in",
        )
    if pa.types.is_duration(clock.type):
        since_midnight = numpy_of(clock).astype("timedelta64[ms]")
        refuse_first(
            (since_midnight < np.timedelta64(0, "ms")) | (since_midnight >= _DAY_MS),
            name,
            "the time of day is not within a day",
            rows,
            got=since_midnight,
        )
        found = read_times(day, name, rows)
        _require_midnight(found.values, "UTC" if found.is_utc else None, name)
        return dataclasses.replace(found, values=found.values + since_midnight)
    joined = pc.binary_join_element_wise(_day_text(day, name), _clock_text(clock, name), " ")
    return _from_text(joined, name, rows)


def _refuse_rounded(column: pa.ChunkedArray, name: str) -> None:
    """Refuse floats of 32 bits or less, which hold seconds since 1970 to two minutes."""
    if not pa.types.is_float64(column.type) and pc.max(column).as_py() > 2**24:
        raise WorkloadInputError(
            f"column {name} holds {column.type}, which has rounded its times; write them as "
            "integers or as timestamps."
        )


def _is_textual(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_textual(kind.value_type)
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(is_kind(kind) for is_kind in kinds)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _day_text(day: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return text of days, which have no time of day of their own but midnight.

    Raises:
        WorkloadInputError: if they are no days.
    """
    kind = day.type
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        _require_midnight(numpy_of(day), getattr(kind, "tz", None), name)
        return _text(day.cast(pa.date32(), safe=False))
    is_day = pa.types.is_date32(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not is_day and not _is_textual(kind):
        raise WorkloadInputError(
            f"column {name} holds {shown(str(kind))}, not days; write them as 2024-01-31."
        )
    if pa.types.is_floating(kind):
        day = day.cast(pa.int64(), safe=False)
    text = _text(day)
    has_clock = pc.match_substring(text.slice(0, 1), ":")
    return pc.replace_substring_regex(text, _MIDNIGHT, "") if has_clock[0].as_py() else text


def _require_midnight(days: np.ndarray, zone: str | None, name: str) -> None:
    """Check that days ([num_rows] datetime64) are whole.

    Raises:
        WorkloadInputError: if one has a time of day, or they have a zone.
    """
    if zone is not None or (days != days.astype("datetime64[D]")).any():
        raise WorkloadInputError(
            f"column {name}: its days have a time of day or a zone of their own; drop the column "
            "of times of day, or write whole times in a column timestamp."
        )


def _clock_text(clock: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return text of times of day, with the zeros that a number has lost: 93000 is 09:30:00.

    Raises:
        WorkloadInputError: if it cannot be told whether a number ends with minutes or seconds.
    """
    if pa.types.is_floating(clock.type):
        clock = clock.cast(pa.int64(), safe=False)
    text = pc.utf8_trim_whitespace(_text(clock))
    if not pc.all(pc.match_substring_regex(text, _WHOLE)).as_py():
        return text
    lengths = pc.utf8_length(text)
    shortest, longest = pc.min(lengths).as_py(), pc.max(lengths).as_py()
    if shortest == longest and longest in (4, 6, 9):
        return text
    if longest < 4 and pc.max(text.cast(pa.int64())).as_py() > 0:
        raise WorkloadInputError(
            f"column {name}: times of day from {shown(text[0].as_py())} on have lost their zeros, "
            "and may end with minutes or seconds; write them as 14:30:00."
        )
    return pc.utf8_lpad(text, 4 if longest <= 4 else 6 if longest <= 6 else 9, "0")


def _from_text(text: pa.ChunkedArray, name: str, rows: RowNames) -> Times:
    if (quick := timetext.read_iso(text)) is not None:
        return Times(values=quick[0], is_utc=quick[1])
    sample = text.slice(0, _SAMPLE_ROWS)
    if pc.all(pc.match_substring_regex(sample, _EXPONENT), min_count=0).as_py() and len(text):
        raise WorkloadInputError(
            f"column {name}, {rows.name(0)}: {shown(text[0].as_py())} has lost its last digits to "
            "a spreadsheet; format the column as whole numbers and export it again."
        )
    if pc.mean(pc.match_substring_regex(sample, _DIGITS)).as_py() > 0.5:
        return _from_digits(text, name, rows)
    text, zone = timetext.split_zone(text)
    values, is_utc = timetext.parse_times(text, name, rows)
    return Times(values=values, is_utc=is_utc, zone=zone)


def _from_digits(text: pa.ChunkedArray, name: str, rows: RowNames) -> Times:
    digits = numpy_of(pc.match_substring_regex(text, _DIGITS))
    if not digits.all():
        index = int(np.argmin(digits))
        raise timetext.not_a_time(text, index, name, rows)
    if pc.any(pc.match_substring(text, ".")).as_py():
        return _from_numbers(numpy_of(text.cast(pa.float64())), name, rows)
    return _from_numbers(numpy_of(pc.utf8_trim_whitespace(text).cast(pa.int64())), name, rows)


def _from_numbers(numbers: np.ndarray, name: str, rows: RowNames) -> Times:
    whole = numbers
    if numbers.dtype != np.int64:
        refuse_first(
            ~np.isfinite(numbers), name, "the timestamp is missing or not finite", rows, got=numbers
        )
        whole = numbers.astype(np.int64)
    if (whole == numbers).all():
        values = epoch.from_calendar(whole, name, rows)
        if values is not None:
            return Times(values=values, is_utc=False)
    values, note = epoch.from_count(numbers.astype(np.float64), name, rows)
    return Times(values=values, is_utc=True, note=note)
