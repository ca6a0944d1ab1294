"""The times of a file's rows as they were read, whatever they were written as. NumPy only, pure."""

import dataclasses

import numpy as np


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
