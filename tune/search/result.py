"""The result of a search as data: trials with their outcomes, and the chosen configurations.

Stdlib only, pure. Screen, report and profiles read nothing else of a search.
"""

import collections
import dataclasses
import enum

from trainables.measurement import Measurement, Outcome, OutcomeKind
from tune.search.trial import Trial


class Kind(enum.StrEnum):
    """The aim that a chosen configuration is best at."""

    FASTEST = "fastest"
    BALANCED = "balanced"
    LEAN = "lean"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One configuration and all that was measured of it, exploration and finals together.

    `steps_per_second` is the median over the processes that count (`num_processes` of them; finals
    alone once there are any), `low` and `high` the widest interval they support. `representative`
    is the latest of those processes; `soak` the soak's measurement.
    """

    config: dict[str, int]
    steps_per_second: float
    low: float
    high: float
    num_processes: int
    confirmed: bool
    representative: Outcome
    device_bytes: int | None
    noise_scale: float | None
    soak: Measurement | None = None

    @property
    def gpu_utilization(self) -> float | None:
        """NVML's percent in the representative process, `None` where it was not measured."""
        measured = self.representative.measurement
        return measured.gpu_utilization if measured else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The trials and the choice of a search. `chosen` is empty when nothing was feasible.

    `partial` says that the search was interrupted before its finals and soak were done;
    `stop_reason` says why exploring stopped.
    """

    trials: tuple[Trial, ...]
    chosen: dict[Kind, Candidate]
    baseline: Candidate | None
    stop_reason: str
    partial: bool
    wall_s: float

    @property
    def outcome_counts(self) -> dict[OutcomeKind, int]:
        """The number of trials by outcome, the most frequent first."""
        kinds = [trial.kind for trial in self.trials if trial.kind is not None]
        return dict(collections.Counter(kinds).most_common())
