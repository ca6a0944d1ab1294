"""Rounds of a comparison: which trials count, and which are run again. Pure."""

import statistics
from collections.abc import Callable, Collection, Iterator, Sequence

from search_spaces.config import Config, ConfigKey, config_key
from trainables.measurement import OutcomeKind
from tune.search.trial import Stage, Trial

_MOST_REPEATS = 2
"""Disturbed trials of one configuration that are run again."""


def counted(
    trials: Sequence[Trial], stage: Stage, configs: Sequence[Config]
) -> dict[ConfigKey, list[Trial]]:
    """Return the trials of a stage that count, those that still run too, for each configuration.

    A disturbed or lost one does not, and is run again: twice at most for each configuration, and as
    often as there are configurations in all. After that a machine that is never quiet is taken as
    it is. A defect that is forgiven counts as little, and is run again.
    """
    found: dict[ConfigKey, list[Trial]] = {config_key(config): [] for config in configs}
    for key, trial, counts in _with_repeats(trials, stage, found):
        if counts:
            found[key].append(trial)
    return found


def by_round(trials: Sequence[Trial]) -> dict[ConfigKey, list[tuple[int, Trial]]]:
    """Return all finals, each with the number of its round, for each configuration.

    One that is run again has the round of the trial that it repeats. But a canary may find out
    later that a trial was disturbed, and others have gone on by then: what runs after a disturbed
    one is not of an earlier round than what had ended before it began.
    """
    keys = {config_key(trial.config) for trial in trials if trial.stage is Stage.FINAL}
    found: dict[ConfigKey, list[tuple[int, Trial]]] = {key: [] for key in keys}
    following = dict.fromkeys(keys, 0)
    for key, trial, counts in _with_repeats(trials, Stage.FINAL, keys):
        number = following[key]
        if any(before.is_disturbed for _, before in found[key]):
            others = [one for own in found.values() for one in own]
            number = max(number, *(of for of, other in others if _ended_before(other, trial)))
        found[key].append((number, trial))
        following[key] = number + counts
    return found


def speeds_by_round(
    finals: Sequence[tuple[int, Trial]], factor: Callable[[Trial], float]
) -> tuple[float | None, ...]:
    """Return the speed in each round, `None` in one that has no undisturbed final; of all finals
    where none was undisturbed.
    """
    quiet = any(trial.measurement and not trial.is_disturbed for _, trial in finals)
    speeds: dict[int, list[float]] = {}
    for number, trial in finals:
        if trial.measurement is not None and not (quiet and trial.is_disturbed):
            own = speeds.setdefault(number, [])
            own.append(trial.measurement.steps_per_second * factor(trial))
    return tuple(
        statistics.fmean(speeds[number]) if number in speeds else None
        for number in range(max(speeds, default=-1) + 1)
    )


def _ended_before(other: Trial, trial: Trial) -> bool:
    if other.ended_at is None or trial.started_at is None:
        return other.outcome is not None
    return other.ended_at <= trial.started_at


def _with_repeats(
    trials: Sequence[Trial], stage: Stage, keys: Collection[ConfigKey]
) -> Iterator[tuple[ConfigKey, Trial, bool]]:
    """Yield the trials of a stage, and whether each counts, else it is run again."""
    again = dict.fromkeys(keys, 0)
    begun: set[ConfigKey] = set()
    for trial in trials:
        if trial.stage is not stage or trial.is_forgiven:
            continue
        key = config_key(trial.config)
        if key not in again:
            continue
        begun.add(key)
        # Trainings are proposed one by one: what counted already must count whatever comes later.
        most = len(begun if stage is Stage.LEARN else again)
        says_little = trial.is_disturbed or trial.kind is OutcomeKind.NODE_LOST
        is_again = says_little and again[key] < _MOST_REPEATS and sum(again.values()) < most
        again[key] += is_again
        yield key, trial, not is_again
