"""A rise of memory that goes on and on, told from one that settles. Stdlib only, pure."""

import itertools
import statistics
from collections.abc import Sequence

_LEAST_SAMPLES = 12
_LEAST_RISE_BYTES = 2**24
_NUM_PARTS = 4
_STEADY = 0.5


def steady_growth(samples: Sequence[tuple[float, int]]) -> float | None:
    """Return the rise in bytes per second of (seconds, bytes), `None` unless it is steady.

    The medians of four parts are compared, which a single peak or a collected heap does not move.
    The rise is steady if each part lies above the one before, and the last step is at least half
    of the mean step: a cache that fills slows down.
    """
    if len(samples) < _LEAST_SAMPLES:
        return None
    size = len(samples) // _NUM_PARTS
    parts = [samples[place * size : (place + 1) * size] for place in range(_NUM_PARTS)]
    levels = [statistics.median(held for _, held in part) for part in parts]
    middles = [statistics.median(at_s for at_s, _ in part) for part in parts]
    steps = [after - before for before, after in itertools.pairwise(levels)]
    rise = levels[-1] - levels[0]
    if min(steps) <= 0 or rise < _LEAST_RISE_BYTES or steps[-1] < _STEADY * statistics.fmean(steps):
        return None
    return rise / (middles[-1] - middles[0])
