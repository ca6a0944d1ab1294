"""What a search did and found, as data: trials with their outcomes, and the configurations chosen.

Stdlib only, pure. Console, report and profile read these and nothing else of a search.
"""

import dataclasses
import enum

from trainables.measurement import Measurement, Outcome, OutcomeKind


class Stage(enum.StrEnum):
    """Why a trial was run."""

    BASELINE = "baseline"
    WARM = "warm"
    RAMP = "ramp"
    SEARCH = "search"
    FINAL = "final"
    SOAK = "soak"


EXPLORING = frozenset({Stage.BASELINE, Stage.WARM, Stage.RAMP, Stage.SEARCH})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial of a study. `outcome` is `None` while it runs; `score` is the objective's value.

    `excluded` marks a configuration that was never run: predicted over a budget before it cost a
    process. Its outcome says by how much. `started_at` and `ended_at` are in seconds since the
    epoch, by the driver's clock. `source` is the journal it was adopted from, of another machine.
    """

    number: int
    stage: Stage
    config: dict[str, int]
    outcome: Outcome | None = None
    score: float | None = None
    excluded: bool = False
    started_at: float | None = None
    ended_at: float | None = None
    source: str | None = None

    @property
    def measurement(self) -> Measurement | None:
        """The trial's measurement, if it completed."""
        if self.outcome is None or self.outcome.kind is not OutcomeKind.COMPLETED:
            return None
        return self.outcome.measurement

    @property
    def outcome_name(self) -> str | None:
        """How the trial ended in one word: its outcome's kind, or `excluded`."""
        if self.outcome is None:
            return None
        return "excluded" if self.excluded else self.outcome.kind.value

    @property
    def device_bytes(self) -> int | None:
        """Device bytes of the program: the allocator's peak where there is one, else predicted."""
        if self.outcome is None:
            return None
        measured = self.outcome.measurement.peak_device_bytes if self.outcome.measurement else None
        return measured or self.outcome.predicted_device_bytes


class Kind(enum.StrEnum):
    """What a chosen configuration is best at."""

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
    """The end of a search. `chosen` is empty when nothing was feasible.

    `partial` says that the search was interrupted before its finals and soak were done;
    `stop_reason` is the sentence that says why exploring stopped.
    """

    trials: tuple[Trial, ...]
    chosen: dict[Kind, Candidate]
    baseline: Candidate | None
    stop_reason: str
    partial: bool
    wall_s: float

    @property
    def outcome_counts(self) -> dict[str, int]:
        """Trials by outcome, the most frequent first; excluded configurations are `excluded`."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            name = trial.outcome_name
            if name is not None:
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))
