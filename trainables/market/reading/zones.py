"""Local times of a zone as UTC, with the hour that comes twice in autumn. NumPy and pyarrow."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.market.reading.arrow_arrays import number_array, numpy_of
from trainables.market.reading.rows import CellNames
from trainables.workload import WorkloadInputError


def require_zone(timezone: str) -> None:
    """Check that a zone is known here.

    Raises:
        WorkloadInputError: if it is not.
    """
    try:
        _to_utc(np.array(["2024-01-01"], "datetime64[ms]"), timezone, "earliest")
    except pa.lib.ArrowException as error:
        raise WorkloadInputError(
            f"--timezone {timezone[:60]} is not known on this machine; give a name like "
            "America/New_York or an offset like +02:00, and install tzdata if it has no zones."
        ) from error


def zone_to_utc(local: np.ndarray, timezone: str, cells: CellNames) -> np.ndarray:
    """[num_rows] datetime64[ms] UTC of a zone's wall clock, in the order of a file from old to new.

    An hour that comes twice is the first one until the clock goes back.

    Raises:
        WorkloadInputError: if the zone is not known, or its clock never showed one of the times.
    """
    require_zone(timezone)
    early = _to_utc(local, timezone, "earliest")
    late = _to_utc(local, timezone, "latest")
    skipped = _local_of(early, timezone) != local
    cells.refuse_first(skipped, f"the clocks of {timezone} never showed this time", got=local)
    twice = early != late
    if not twice.any():
        return early
    gone_back = np.r_[False, np.diff(local) <= np.timedelta64(0, "ms")] & twice
    index = np.arange(len(local))
    run_start = np.maximum.accumulate(np.where(twice & ~np.r_[False, twice[:-1]], index, 0))
    last_back = np.maximum.accumulate(np.where(gone_back, index, -1))
    return np.where(twice & (last_back >= run_start), late, early)


def _to_utc(local: np.ndarray, timezone: str, ambiguous: str) -> np.ndarray:
    times = number_array(local.astype("datetime64[ms]"), pa.timestamp("ms"))
    zoned = pc.assume_timezone(times, timezone, ambiguous=ambiguous, nonexistent="earliest")
    return numpy_of(zoned.cast(pa.timestamp("ms", "UTC"))).astype("datetime64[ms]")


def _local_of(utc: np.ndarray, timezone: str) -> np.ndarray:
    zoned = number_array(utc.astype("datetime64[ms]"), pa.timestamp("ms", timezone))
    return numpy_of(pc.local_timestamp(zoned)).astype("datetime64[ms]")
