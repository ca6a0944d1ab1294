"""The times of bars from a file's columns: typed, text or numbers; one column or two."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading import epoch, timetext
from trainables.market.reading.arrow_arrays import as_text, is_text, numpy_of
from trainables.market.reading.moments import Times
from trainables.market.reading.rows import CellNames, shown
from trainables.workload import WorkloadInputError

_DIGITS = r"^\s*-?\d+(\.\d*)?\s*$"
_WHOLE = r"^\s*\d+\s*$"
_EXPONENT = r"^\s*\d[.,]?\d*[eE]\+?\d+\s*$"
_CLOCK = r"^\s*(\d{1,2}:\d{2}|\d{1,6}\s*$|\d{9}\s*$|\d{1,2} ?[AaPp][Mm])"
_MIDNIGHT = r"[ T]0?0:00(:00(\.0+)?)?$"
_SAMPLE_ROWS = 1000
_LARGEST_CLOCK = 235_959
_DAY_MS = np.timedelta64(86_400_000, "ms")


def is_clock(column: pa.ChunkedArray) -> bool:
    """Return whether a column holds times of day and not whole times."""
    kind = column.type
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return True
    if not len(column):
        return False
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return bool(0 <= (pc.max(column).as_py() or 0) <= _LARGEST_CLOCK)
    if not is_text(kind):
        return False
    return bool(pc.all(pc.match_substring_regex(as_text(column).slice(0, 100), _CLOCK)).as_py())


def read_times(column: pa.ChunkedArray, cells: CellNames) -> Times:
    """Read one column of whole times.

    Raises:
        WorkloadInputError: if a time is missing, cannot be read, or can be read in two ways.
    """
    cells.refuse_first(
        numpy_of(column.is_null()),
        "the timestamp is missing",
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
        return _from_numbers(numpy_of(column).astype(np.int64), cells)
    if pa.types.is_floating(kind):
        _refuse_rounded(column, cells.column)
        return _from_numbers(numpy_of(column).astype(np.float64), cells)
    if is_text(kind):
        return _from_text(as_text(column), cells)
    raise WorkloadInputError(
        f"column {cells.column} holds {shown(str(kind))}, not timestamps; write them as 2024-01-31 "
        "14:30:00."
    )


def read_day_and_clock(day: pa.ChunkedArray, clock: pa.ChunkedArray, cells: CellNames) -> Times:
    """Read two columns: the day, and the time of day.

    Raises:
        WorkloadInputError: see `read_times`.
    """
    for column in (day, clock):
        cells.refuse_first(
            numpy_of(column.is_null()), "the timestamp is missing", remedy="fill it in"
        )
    if pa.types.is_duration(clock.type):
        since_midnight = numpy_of(clock).astype("timedelta64[ms]")
        cells.refuse_first(
            (since_midnight < np.timedelta64(0, "ms")) | (since_midnight >= _DAY_MS),
            "the time of day is not within a day",
            got=since_midnight,
        )
        found = read_times(day, cells)
        _require_midnight(found.values, "UTC" if found.is_utc else None, cells.column)
        return dataclasses.replace(found, values=found.values + since_midnight)
    joined = pc.binary_join_element_wise(
        _day_text(day, cells.column), _clock_text(clock, cells.column), " "
    )
    return _from_text(joined, cells)


def _refuse_rounded(column: pa.ChunkedArray, name: str) -> None:
    """Refuse floats of 32 bits or less, which hold seconds since 1970 to two minutes."""
    if not pa.types.is_float64(column.type) and pc.max(column).as_py() > 2**24:
        raise WorkloadInputError(
            f"column {name} holds {column.type}, which has rounded its times; write them as "
            "integers or as timestamps."
        )


def _day_text(day: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return text of days, which have no time of day of their own but midnight.

    Raises:
        WorkloadInputError: if they are no days.
    """
    kind = day.type
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        _require_midnight(numpy_of(day), getattr(kind, "tz", None), name)
        return as_text(day.cast(pa.date32(), safe=False))
    is_day = pa.types.is_date32(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not is_day and not is_text(kind):
        raise WorkloadInputError(
            f"column {name} holds {shown(str(kind))}, not days; write them as 2024-01-31."
        )
    if pa.types.is_floating(kind):
        day = day.cast(pa.int64(), safe=False)
    text = as_text(day)
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
    text = pc.utf8_trim_whitespace(as_text(clock))
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


def _from_text(text: pa.ChunkedArray, cells: CellNames) -> Times:
    if (quick := timetext.read_iso(text)) is not None:
        return quick
    sample = text.slice(0, _SAMPLE_ROWS)
    if pc.all(pc.match_substring_regex(sample, _EXPONENT), min_count=0).as_py() and len(text):
        raise WorkloadInputError(
            f"{cells.name(0)}: {shown(text[0].as_py())} has lost its last digits to "
            "a spreadsheet; format the column as whole numbers and export it again."
        )
    if pc.mean(pc.match_substring_regex(sample, _DIGITS)).as_py() > 0.5:
        return _from_digits(text, cells)
    text, zone = timetext.split_zone(text)
    return dataclasses.replace(timetext.parse_times(text, cells), zone=zone)


def _from_digits(text: pa.ChunkedArray, cells: CellNames) -> Times:
    digits = numpy_of(pc.match_substring_regex(text, _DIGITS))
    if not digits.all():
        index = int(np.argmin(digits))
        raise timetext.not_a_time(text, index, cells)
    if pc.any(pc.match_substring(text, ".")).as_py():
        return _from_numbers(numpy_of(text.cast(pa.float64())), cells)
    return _from_numbers(numpy_of(pc.utf8_trim_whitespace(text).cast(pa.int64())), cells)


def _from_numbers(numbers: np.ndarray, cells: CellNames) -> Times:
    whole = numbers
    if numbers.dtype != np.int64:
        cells.refuse_first(
            ~np.isfinite(numbers), "the timestamp is missing or not finite", got=numbers
        )
        whole = numbers.astype(np.int64)
    found = epoch.from_calendar(whole, cells) if (whole == numbers).all() else None
    return found or epoch.from_count(numbers.astype(np.float64), cells)
