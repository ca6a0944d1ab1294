"""The race of the finals: which leaders are beaten, and which may still win. Pure."""

import dataclasses
import math
from collections.abc import Sequence

from search_spaces.config import Config, ConfigKey, config_key, num_devices
from tune.search.candidates import (
    TIE_SHARE,
    candidates_of,
    choose_by_kind,
    scores_of,
    winning_kind,
)
from tune.search.objective import Objective
from tune.search.result import Candidate
from tune.search.trial import Stage, Trial


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The leaders, as far as the finals that ran tell them apart.

    `running` are those that are not beaten. `rivals` are to run beyond the planned rounds: the
    best, all that may be better by more than a tie, and the baseline, with which they are compared.
    None are left once nothing may be better, and the best and the baseline were measured
    undisturbed as often as planned. `needed` are those two, without which there is nothing to say.
    """

    running: list[Config]
    rivals: list[Config]
    needed: frozenset[ConfigKey]


def race_of(
    trials: Sequence[Trial],
    leaders: Sequence[Config],
    objective: Objective,
    baseline: Config,
    *,
    num_rounds: int,
) -> Race:
    """Return how the race stands.

    The baseline, the best of each kind, and on each number of GPUs, are of interest though they
    are beaten. What learns fastest wins by other figures than speed: all run, and none is a rival.
    """
    keys = {config_key(leader) for leader in leaders}
    shown = [c for c in candidates_of(trials) if c.confirmed and config_key(c.config) in keys]
    chosen = choose_by_kind(shown, objective)
    best = chosen.get(winning_kind(objective))
    first = {config_key(leader) for leader in leaders[:1]}
    if best is None:
        needed = frozenset(first | {config_key(baseline)})
        return Race(running=list(leaders), rivals=[], needed=needed)
    challengers = {
        config_key(one.config): _may_win(one, best, objective) for one in shown if one is not best
    }
    of_interest = {
        config_key(config) for config in (baseline, *(c.config for c in chosen.values()))
    }
    of_interest |= _best_by_devices(leaders)
    beaten = {key for key, may_win in challengers.items() if not may_win} - of_interest
    rivals = {key for key, may_win in challengers.items() if may_win}
    pair = {config_key(best.config), config_key(baseline)}
    measured = pair & {config_key(one.config) for one in shown}
    if rivals or any(_num_undisturbed(trials, key) < num_rounds for key in measured):
        rivals |= pair
    return Race(
        running=[leader for leader in leaders if config_key(leader) not in beaten],
        rivals=[leader for leader in leaders if config_key(leader) in rivals],
        needed=frozenset(pair if len(pair) > 1 else pair | first),
    )


def _num_undisturbed(trials: Sequence[Trial], key: ConfigKey) -> int:
    """Return the finals of a configuration that count, or still run."""
    return sum(
        trial.outcome is None or (trial.measurement is not None and not trial.is_disturbed)
        for trial in trials
        if trial.stage is Stage.FINAL and config_key(trial.config) == key
    )


def _may_win(challenger: Candidate, best: Candidate, objective: Objective) -> bool:
    """Return whether it may be better than the best by more than a tie, with a chance of one in
    six, as far as the noise between processes tells. One that was never quiet may be any faster.
    """
    if challenger.disturbed:
        return True
    scores = [scores_of([one], objective)[config_key(one.config)] for one in (challenger, best)]
    sd = best.noise.sd * math.sqrt(1 / challenger.num_processes + 1 / best.num_processes)
    return math.log(scores[0] / scores[1]) + sd > -math.log(TIE_SHARE)


def _best_by_devices(leaders: Sequence[Config]) -> set[ConfigKey]:
    """Return the first leader on each number of GPUs, where they differ."""
    first = {num_devices(leader): config_key(leader) for leader in reversed(leaders)}
    return set(first.values()) if len(first) > 1 else set()
