"""The speedup: how much faster one candidate of a search is than another, and how surely."""

import dataclasses
import math
import statistics

from tune.search.noise import within_process
from tune.search.result import Candidate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """The ratio of two speeds, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Return whether the two may be equally fast."""
        return self.low <= 1.0 <= self.high


def speedup(candidate: Candidate, baseline: Candidate) -> Speedup:
    """Compare two candidates of one search.

    By pairs, where both were in the finals: the processes of a round ran close together, and a
    machine that was slow in that round was slow for both. Without a round in common it may have
    been slow for one alone.
    """
    ratio = candidate.steps_per_second / baseline.steps_per_second
    pairs = pairs_of(candidate, baseline)
    if pairs:
        ratio = statistics.geometric_mean(mine / its for mine, its in pairs)
    # Processes that agree by chance, or in the leaps of a count, know no more than each by itself.
    latest = [one.representative.measurement for one in (candidate, baseline)]
    own = math.hypot(*(within_process(measured) for measured in latest if measured))
    pairs_or_one = max(1, len(pairs))
    noise = candidate.noise if pairs else candidate.noise_over_time
    half_width = max(noise.half_width(pairs_or_one, num_means=2), own / math.sqrt(pairs_or_one))
    return Speedup(
        ratio=ratio, low=ratio * math.exp(-half_width), high=ratio * math.exp(half_width)
    )


def pairs_of(candidate: Candidate, baseline: Candidate) -> list[tuple[float, float]]:
    """Return the speeds of both in each round that has a final of both which counts."""
    return [
        (mine, its)
        for mine, its in zip(candidate.rounds, baseline.rounds, strict=False)
        if mine is not None and its is not None
    ]
