"""How much faster one configuration is than another, and whether that is more than noise. Pure."""

import dataclasses

from tune.search.result import Candidate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """The ratio of two speeds, with the bounds that their intervals support."""

    ratio: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether the two could be equally fast."""
        return self.low <= 1.0 <= self.high


def speedup(candidate: Candidate, baseline: Candidate) -> Speedup:
    """Compare two candidates of one search."""
    return Speedup(
        ratio=candidate.steps_per_second / baseline.steps_per_second,
        low=candidate.low / baseline.high,
        high=candidate.high / baseline.low,
    )
