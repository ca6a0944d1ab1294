"""One trial of a search as data: its stage, its configuration, its outcome. Stdlib only, pure."""

import dataclasses
import enum
from typing import NamedTuple

from search_spaces.config import Config
from trainables.measurement import Measurement, Outcome, OutcomeKind


class Stage(enum.StrEnum):
    """The purpose of a trial. `GPU` runs the baseline on another GPU, to compare the two."""

    BASELINE = "baseline"
    GPU = "gpu"
    WARM = "warm"
    RAMP = "ramp"
    SEARCH = "search"
    LEARN = "learn"
    FINAL = "final"
    LEVER = "lever"
    SOAK = "soak"


EXPLORING = frozenset({Stage.BASELINE, Stage.GPU, Stage.WARM, Stage.RAMP, Stage.SEARCH})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial of a study. `outcome` is `None` while it runs; `score` is the objective's value.

    `started_at` and `ended_at` are in seconds since the epoch, by the driver's clock. `source` is
    the journal it was adopted from, of another machine. `machine_share` is the speed of the CPUs
    beside it, as a share of their best in this search, where they were clearly slower.
    `is_forgiven` says that it ended in a defect of an earlier session, and may be run again.
    """

    number: int
    stage: Stage
    config: Config
    outcome: Outcome | None = None
    score: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    source: str | None = None
    machine_share: float | None = None
    is_forgiven: bool = False

    @property
    def failed(self) -> bool:
        """Return whether the trial ended without a speed, and not because its worker was lost, nor
        by a defect that is forgiven.
        """
        kind = self.kind
        if kind is None or kind.was_measured or self.is_forgiven:
            return False
        return kind is not OutcomeKind.NODE_LOST

    @property
    def is_disturbed(self) -> bool:
        """Return whether other programs, or a slower machine, disturbed it too much to count."""
        measured = None if self.outcome is None else self.outcome.measurement
        return measured is not None and (measured.disturbed or self.machine_share is not None)

    @property
    def measurement(self) -> Measurement | None:
        """The trial's measurement, if it completed."""
        if self.outcome is None or self.kind is not OutcomeKind.COMPLETED:
            return None
        return self.outcome.measurement

    @property
    def kind(self) -> OutcomeKind | None:
        """The kind of the trial's outcome, `None` while it runs."""
        return None if self.outcome is None else self.outcome.kind

    @property
    def was_run(self) -> bool:
        """Return whether the trial cost a process."""
        return self.kind is not OutcomeKind.EXCLUDED

    @property
    def device_bytes(self) -> int | None:
        """Device bytes of the program: the allocator's peak where there is one, else predicted."""
        if self.outcome is None:
            return None
        measured = self.outcome.measurement.peak_device_bytes if self.outcome.measurement else None
        return measured or self.outcome.predicted_device_bytes


class Scored(NamedTuple):
    """A trial with its score by the objective, `None` if it is unmeasured."""

    trial: Trial
    score: float | None
