"""Arrow arrays of text and of NumPy's numbers, made and read without pandas.

`pyarrow.array` imports pandas to ask whether it was given a series: a third of a second, and 30 MB,
in each trial that reads bars.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def text_array(cells: Sequence[str]) -> pa.Array:
    """Return the cells as an array of strings."""
    encoded = [cell.encode() for cell in cells]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def number_array(values: np.ndarray, arrow_type: pa.DataType) -> pa.Array:
    """Return [n] numbers or times as an array of a type of the same width, without a copy."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        arrow_type, len(values), [None, pa.py_buffer(values.view(np.uint8))]
    )


def numpy_of(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return [n] values as `to_numpy` has them: a missing float is NaN, a missing time NaT.

    A type for which there is no simple way goes that of pyarrow.
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # of no chunk, or of more than one can hold
        return np.asarray(column.to_numpy())
    dtype = _dtype_of(whole.type)
    missing = whole.null_count > 0
    if dtype is None or (missing and dtype.kind in "bi"):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    validity, data = whole.buffers()
    if data is None:
        return np.empty(0, dtype)
    if dtype.kind == "b":
        return _bits(data, whole)
    end = whole.offset + len(whole)
    values = np.frombuffer(data, dtype, count=end)[whole.offset :]
    if missing:
        values = values.copy()
        values[~_bits(validity, whole)] = "NaT" if dtype.kind in "mM" else np.nan
    return values


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are text, in any of Arrow's forms."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(is_kind(kind) for is_kind in kinds)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as strings."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _dtype_of(kind: pa.DataType) -> np.dtype | None:
    simple = {pa.bool_(): "?", pa.int32(): "i4", pa.int64(): "i8", pa.float64(): "f8"}
    if kind in simple:
        return np.dtype(simple[kind])
    if pa.types.is_timestamp(kind):
        return np.dtype(f"M8[{kind.unit}]")
    return np.dtype(f"m8[{kind.unit}]") if pa.types.is_duration(kind) else None


def _bits(buffer: pa.Buffer, array: pa.Array) -> np.ndarray:
    """[n] bool of an array's bitmap."""
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(bool)
