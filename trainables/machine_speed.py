"""The speed of the machine beside a training, by a canary's looks. Stdlib only, pure."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

MIN_LOOKS = 4
"""Fewer looks tell no level."""

SLOW_COMPUTE = 0.9
SLOW_HANDOFF = 0.88
"""Shares of the best below which CPUs are clearly slower while one block runs.

Chosen on blocks of Phase 1 on two CPUs: see benchmarks.flips.
"""


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
    per second, read by one of them. `handoff` is how often per second two threads on two CPUs wake
    each other in turn; it is `None` on one CPU.
    """

    compute: SpeedLevel
    memory: SpeedLevel
    handoff: SpeedLevel | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MachineBest:
    """The best that the machine reached beside trials; units as in `MachineSpeed`."""

    compute: float = 0.0
    memory: float = 0.0
    handoff: float = 0.0


def level(looks: Sequence[float]) -> SpeedLevel | None:
    """Return the level of some looks, `None` if there are too few."""
    if len(looks) < MIN_LOOKS:
        return None
    logs = [math.log(speed) for speed in looks]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return SpeedLevel(mean=math.exp(statistics.fmean(logs)), error=error)


def slowed(looks: Sequence[float], best: float, share: float) -> list[bool]:
    """Return for each block whether the machine was slower than `share` of its best, by the looks
    before and after it: one more than there are blocks.

    `best` is what is known from elsewhere. These looks may be better: a quarter of them is, as
    single ones are lucky.
    """
    blocks = [2.0 * a * b / (a + b) for a, b in itertools.pairwise(looks)]  # the mean of seconds
    if len(blocks) >= MIN_LOOKS:
        best = max(best, statistics.quantiles(blocks, n=4, method="inclusive")[-1])
    return [speed < share * best for speed in blocks]


def slowed_blocks(
    compute: Sequence[float], handoff: Sequence[float], best: MachineBest
) -> list[bool]:
    """Return for each block whether the CPUs were clearly slower in it, by either kind of look.

    On one CPU there is no `handoff`.
    """
    found = slowed(compute, best.compute, SLOW_COMPUTE)
    if not handoff:
        return found
    by_handoff = slowed(handoff, best.handoff, SLOW_HANDOFF)
    return [a or b for a, b in zip(found, by_handoff, strict=True)]
