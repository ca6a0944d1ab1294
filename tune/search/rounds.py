"""Rounds of a comparison: which trials count, and which are run again. Pure."""

from collections.abc import Sequence

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
    again = dict.fromkeys(found, 0)
    for trial in trials:
        key = config_key(trial.config)
        if trial.stage is not stage or key not in found or trial.is_forgiven:
            continue
        says_little = trial.is_disturbed or trial.kind is OutcomeKind.NODE_LOST
        if says_little and again[key] < _MOST_REPEATS and sum(again.values()) < len(configs):
            again[key] += 1
        else:
            found[key].append(trial)
    return found
