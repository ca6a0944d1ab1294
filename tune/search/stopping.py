"""The rules by which exploring ends. Stdlib only, pure."""

import bisect
import dataclasses
from collections.abc import Iterable, Sequence

from cluster.pages.units import plural
from search_spaces.config import config_key
from trainables.measurement import OutcomeKind
from tune.search.trial import EXPLORING, Scored, Stage, Trial

_TYPICAL_GAIN = 4
"""Trials that exploring typically takes beyond its patience: on the landscapes of benchmarks/ 3 to
5 with a patience of 4 or 8, and 4 to 7 with 16, medians (benchmarks.knobs --efforts).
"""

_MAX_ERRORS = 3
"""The number of defects in a row after which the workload is taken to be broken."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The limits on exploring. `max_time_s` is for the whole search, finals and soak included.

    `num_parallel` trials run side by side, and a host that is lost ends all of its own.
    """

    max_runs: int
    max_time_s: float | None
    patience: int
    min_gain: float
    num_parallel: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exploring:
    """The state of exploring: the trials that cost a process, those of them that ended, and those
    that ended since the best last rose, in numbers.

    `run_s` and `explored_s` are the typical seconds of one of them, and of all that explored.
    Those would take `final_s` as a final, in `start_s` of which they are not measured.
    """

    num_runs: int
    num_ended: int
    num_waited: int
    run_s: float = 0.0
    explored_s: float = 0.0
    final_s: float = 0.0
    start_s: float = 0.0


class Gains:
    """The gains of the best over the trials that cost a process, by their numbers.

    Trials end in any order. One that is no gain is counted as it ends; a gain may undo those of
    later trials, and makes it stale: then all are to be counted again.
    """

    def __init__(self, min_gain: float) -> None:
        self.is_stale = False
        self.num_waited = 0
        """Sampled trials that ended since the best last rose. The ramp does not count: it does not
        look for the best.
        """
        self._min_gain = min_gain
        self._gains: list[tuple[int, float]] = []

    def count(self, runs: Iterable[Scored]) -> None:
        """Count anew."""
        self.is_stale, self.num_waited, self._gains = False, 0, []
        best = 0.0
        for trial, score in runs:
            if score is not None and score > best * (1.0 + self._min_gain):
                best, self.num_waited = score, 0
                self._gains.append((trial.number, score))
            elif trial.stage is Stage.SEARCH and trial.outcome is not None:
                self.num_waited += 1

    def change(self, before: Scored | None, now: Scored | None) -> None:
        """Take note of one that began, ended, or is another now; `None` where it does not count."""
        if before is not None and before.trial.outcome is not None:
            same = now is not None and now.score == before.score
            self.is_stale = self.is_stale or not same
            return
        if now is None or now.trial.outcome is None or self.is_stale:
            return
        trial, score = now
        later = bisect.bisect(self._gains, (trial.number,))
        best = self._gains[later - 1][1] if later else 0.0
        if score is not None and score > best * (1.0 + self._min_gain):
            self.is_stale = True
        elif trial.stage is Stage.SEARCH and later == len(self._gains):
            self.num_waited += 1


class Latest:
    """The trials by which `is_broken` is decided, so that it need not look at all.

    They are the last that says something, those without a word after it, and what was lost before;
    and those that end the search.
    """

    def __init__(self) -> None:
        self._ends: dict[int, Trial] = {}
        self._silent: dict[int, Trial] = {}
        self._telling: Trial | None = None

    @property
    def trials(self) -> Sequence[Trial]:
        """Those trials, by number."""
        found = self._ends | self._silent
        if self._telling is not None:
            found[self._telling.number] = self._telling
        return [found[number] for number in sorted(found)]

    def take(self, trial: Trial) -> None:
        """Take in a trial that ended."""
        if trial.stage is Stage.LEVER or trial.outcome is None:
            return
        if trial.outcome.ends_search:
            self._ends[trial.number] = trial
        if says_nothing(trial):
            self._silent[trial.number] = trial
        elif self._telling is None or trial.number >= self._telling.number:
            self._telling = trial
            self._silent = {
                number: one
                for number, one in self._silent.items()
                if number > trial.number or is_lost(one)
            }


def reason_to_stop(
    stopping: Stopping,
    exploring: Exploring,
    *,
    remaining_s: float | None,
    reserved_s: float,
) -> str | None:
    """Return why exploring ends, or `None`.

    `remaining_s` is left of `max_time_s`; `reserved_s` of it is for one more trial, the finals and
    the soak.
    """
    if exploring.num_runs >= stopping.max_runs:
        tried = plural(stopping.max_runs, "configuration")
        return f"{tried} {'was' if stopping.max_runs == 1 else 'were'} tried (--max-runs)"
    if remaining_s is not None and remaining_s < reserved_s:
        return f"the rest of --max-time {stopping.max_time_s:.0f} s is for finals and soak"
    if exploring.num_waited >= stopping.patience:
        return (
            f"{plural(stopping.patience, 'trial')} in a row did not improve the best by "
            f"{100 * stopping.min_gain:g}% (--patience, --min-gain)"
        )
    return None


def num_expected(stopping: Stopping, exploring: Exploring) -> int:
    """Return how many more trials exploring typically takes, by those that ended."""
    ended = exploring.num_ended
    patient = max(
        stopping.patience - exploring.num_waited, stopping.patience + _TYPICAL_GAIN - ended
    )
    return max(0, min(patient, stopping.max_runs - ended))


def is_broken(trials: Sequence[Trial], *, num_parallel: int = 1) -> bool:
    """Return whether no trial can run: the last, of whatever stage, all ended in errors or lost
    workers, or one said so. An exploring trial that is run again is no trial, and what a lever does
    to the winner says nothing of others.
    """
    lever = Stage.LEVER  # looked up once, here and below: there may be thousands of trials
    if any(
        t.outcome is not None and t.outcome.ends_search and t.stage is not lever for t in trials
    ):
        return True
    most = _MAX_ERRORS + num_parallel - 1
    for trial in reversed(trials):
        if trial.outcome is None or trial.stage is lever:
            continue
        if not says_nothing(trial):
            return False
        if trial.stage not in EXPLORING or not is_run_again(
            trial, [t for t in trials if t.stage is not lever]
        ):
            most -= 1
        if most == 0:
            return True
    return False


def is_hopeless(trials: Sequence[Trial]) -> bool:
    """Return whether finals would be in vain where all is broken: not only what was explored last.

    A script may die of sizes that no signature knows. What ran before is then measured again; if
    that fails too, it was not the sizes.
    """
    latest = [trial for trial in trials if trial.outcome is not None][-1]
    return latest.stage not in EXPLORING or not any(trial.measurement for trial in trials)


def says_nothing(trial: Trial) -> bool:
    """Return whether the trial's end says nothing about its configuration."""
    return trial.kind is not None and trial.kind.says_nothing


def is_lost(trial: Trial) -> bool:
    """Return whether the trial, or its worker, was ended from outside."""
    return trial.kind is OutcomeKind.NODE_LOST


def is_run_again(trial: Trial, trials: Sequence[Trial]) -> bool:
    """Return whether a lost trial is no trial at all, so that its configuration is run again.

    That is done once: whatever ends it may be of the configuration.
    """
    if not is_lost(trial):
        return False
    key = config_key(trial.config)
    return not any(
        is_lost(other) and other.number < trial.number and config_key(other.config) == key
        for other in trials
    )
