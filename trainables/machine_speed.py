"""The speed of the machine beside a training, by a canary's looks. Stdlib only, pure."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

MIN_LOOKS = 4
"""Fewer looks tell no level."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeedLevel:
    """A speed over several looks: their geometric mean, and the standard error of its log."""

    mean: float
    error: float

    def bound(self, num_errors: float) -> float:
        """Return the mean, moved up by so many standard errors."""
        return self.mean * math.exp(num_errors * self.error)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpeed:
    """The speed at which a trial's CPUs did a fixed piece of work, between its blocks of updates.

    `compute` is in floating-point operations per second, of all CPUs at once; `memory` in bytes
    per second, read by one of them.
    """

    compute: SpeedLevel
    memory: SpeedLevel


def level(looks: Sequence[float]) -> SpeedLevel | None:
    """Return the level of some looks, `None` if there are too few."""
    if len(looks) < MIN_LOOKS:
        return None
    logs = [math.log(speed) for speed in looks]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return SpeedLevel(mean=math.exp(statistics.fmean(logs)), error=error)
