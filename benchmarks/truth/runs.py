"""Real searches as they were recorded, judged by the truth, and their table."""

import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.markdown import row
from benchmarks.truth.busy_loop import BUSY_LOOPS
from cluster.structure import revive
from trainables.machine_speed import MachineSpeed
from tune.search.result import VAGUE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTrial:
    """One trial of a search that was measured; fields as in `Measurement`, `Outcome` and `Trial`.

    The last two are `None` of searches that were recorded before these were.
    """

    stage: str
    steps_per_second: float
    disturbed: bool
    num_disturbed_blocks: int
    others_cpus: float | None
    machine_share: float | None
    config: dict[str, int]
    machine_speed: MachineSpeed | None
    num_blocks: int | None = None
    wall_s: float | None = None

    @property
    def is_alarm(self) -> bool:
        """Return whether it is said to be disturbed, and did not count."""
        return self.disturbed or self.machine_share is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RealRun:
    """One real search and its truth. Speeds are in env steps per second.

    `promised_low` to `promised_high` is the promise's interval. `is_marked`: the profile says that
    other programs disturbed the promise, or the comparison.
    `low` to `high` is the interval of the speed-up that it claims, `None` where it chose the
    baseline. `chosen_speeds` and `baseline_speeds` were measured afterwards, in quiet; those that
    something disturbed are left out. `trials` are those of the search, in order. `look_s` are the
    seconds of one look of the canary, measured then, too.
    """

    task: str
    neighbour: str
    recorded_at: str
    chosen: dict[str, int]
    promised: float
    promised_low: float
    promised_high: float
    is_marked: bool
    low: float | None
    high: float | None
    chosen_speeds: tuple[float, ...]
    baseline_speeds: tuple[float, ...]
    trials: tuple[MeasuredTrial, ...]
    wall_s: float
    look_s: float | None = None

    @property
    def is_vague(self) -> bool:
        """Return whether the promise says of itself that it may be off by more than a tenth."""
        sides = self.promised - self.promised_low, self.promised_high - self.promised
        return max(sides) > VAGUE * self.promised

    @property
    def true_gain(self) -> float | None:
        """The true speed-up, `None` where the baseline was chosen."""
        if not (self.chosen_speeds and self.baseline_speeds):
            return None
        mean = statistics.geometric_mean
        return mean(self.chosen_speeds) / mean(self.baseline_speeds)

    @property
    def covers(self) -> bool:
        """Return whether the interval has the truth, or nothing is claimed."""
        if self.low is None or self.high is None or self.true_gain is None:
            return True
        return self.is_marked or self.low <= self.true_gain <= self.high

    @property
    def claims_false(self) -> bool:
        """Return whether it says "faster" of what is not."""
        says_faster = self.low is not None and self.low > 1.0 and not self.is_marked
        return says_faster and self.true_gain is not None and self.true_gain <= 1.0

    @property
    def holds(self) -> bool:
        """Return whether the promise's interval has the truth, or the promise is marked."""
        if self.is_marked or not self.chosen_speeds:
            return True
        truth = statistics.geometric_mean(self.chosen_speeds)
        return self.promised_low <= truth <= self.promised_high

    @property
    def error(self) -> float | None:
        """The promise's error as a share, `None` where it is marked or vague."""
        if self.is_marked or self.is_vague or not self.chosen_speeds:
            return None
        return self.promised / statistics.geometric_mean(self.chosen_speeds) - 1.0


def read(path: Path) -> list[RealRun]:
    """Read recorded searches; none if there is no such file."""
    if not path.exists():
        return []
    return [revive(RealRun, fields) for fields in json.loads(path.read_text("utf-8"))["runs"]]


def show(path: Path) -> None:
    """Print the table."""
    runs = read(path)
    columns = (
        *("covered", "false claims", "error, median", "worst", "in its interval", "marked"),
        *("vague", "alarms", "with blocks left out", "s"),
    )
    print(row(("neighbour", "searches", *columns)))
    print(row(("---", *["---:"] * (1 + len(columns)))))
    for neighbour in BUSY_LOOPS:
        for task in dict.fromkeys(run.task for run in runs):
            of_kind = [run for run in runs if (run.task, run.neighbour) == (task, neighbour)]
            if of_kind:
                print(_cells(f"{task}, {neighbour}", of_kind))
    if runs:
        print(_cells("all", runs))


def _cells(name: str, runs: Sequence[RealRun]) -> str:
    errors = [abs(run.error) for run in runs if run.error is not None]
    trials = [trial for run in runs for trial in run.trials]
    return row(
        (
            name,
            f"{len(runs)}",
            f"{sum(run.covers for run in runs)} of {len(runs)}",
            f"{sum(run.claims_false for run in runs)}",
            f"{statistics.median(errors):.1%}" if errors else "-",
            f"{max(errors):.1%}" if errors else "-",
            f"{sum(run.holds for run in runs)} of {len(runs)}",
            f"{sum(run.is_marked for run in runs)}",
            f"{sum(run.is_vague and not run.is_marked for run in runs)}",
            f"{sum(trial.is_alarm for trial in trials)} of {len(trials)}",
            f"{sum(trial.num_disturbed_blocks > 0 for trial in trials)}",
            f"{statistics.median(run.wall_s for run in runs):.0f}",
        )
    )
