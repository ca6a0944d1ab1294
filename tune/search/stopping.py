"""The rules by which exploring ends. Stdlib only, pure."""

import dataclasses
from collections.abc import Sequence

from search_spaces.config import config_key
from trainables.measurement import OutcomeKind
from tune.search.trial import EXPLORING, Stage, Trial

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


def reason_to_stop(
    stopping: Stopping,
    runs: Sequence[tuple[Trial, float | None]],
    *,
    remaining_s: float | None,
    reserved_s: float,
) -> str | None:
    """Return why exploring ends, or `None`.

    `runs` are the explored trials that cost a process, with their scores. `remaining_s` is left of
    `max_time_s`; `reserved_s` of it is for one more trial, the finals and the soak.
    """
    if len(runs) >= stopping.max_runs:
        return f"{stopping.max_runs} configurations were tried (--max-runs)"
    if remaining_s is not None and remaining_s < reserved_s:
        return f"the rest of --max-time {stopping.max_time_s:.0f} s is for finals and soak"
    if _trials_without_gain(runs, stopping.min_gain) >= stopping.patience:
        return (
            f"{stopping.patience} trials in a row did not improve the best by "
            f"{stopping.min_gain:.0%} (--patience, --min-gain)"
        )
    return None


def num_expected(stopping: Stopping, runs: Sequence[tuple[Trial, float | None]]) -> int:
    """Return how many more trials exploring typically takes; `runs` are those that ended."""
    waited = _trials_without_gain(runs, stopping.min_gain)
    patient = max(stopping.patience - waited, stopping.patience + _TYPICAL_GAIN - len(runs))
    return max(0, min(patient, stopping.max_runs - len(runs)))


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


def is_hopeless(trials: Sequence[Trial], *, num_parallel: int = 1) -> bool:
    """Return whether finals would be in vain: all is broken, and not only what was explored last.

    A script may die of sizes that no signature knows. What ran before is then measured again; if
    that fails too, it was not the sizes.
    """
    if not is_broken(trials, num_parallel=num_parallel):
        return False
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


def _trials_without_gain(runs: Sequence[tuple[Trial, float | None]], min_gain: float) -> int:
    """Return how many sampled trials ended since the best last rose by `min_gain`.

    The ramp does not count: it does not look for the best.
    """
    best, waited = 0.0, 0
    sampled = Stage.SEARCH
    for trial, score in runs:
        if score is not None and score > best * (1.0 + min_gain):
            best, waited = score, 0
        elif trial.stage is sampled and trial.outcome is not None:
            waited += 1
    return waited
