"""The finals after exploring: the leaders are re-measured in turn, and the winner is soaked.

Pure: everything is a function of the trials so far, so that a resumed search continues.

The maximum over noisy measurements is biased upwards, and a process can stay in a fast or a slow
mode for seconds. So the leaders and the baseline are measured again in fresh processes, at
separated times (A B C, then C B A), and a profile has the speed of these measurements alone.
"""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence

from search_spaces.config import config_key
from tune.search.candidates import (
    candidates_of,
    choose_by_kind,
    choose_candidates,
    disqualified,
    ranked,
    winning_kind,
)
from tune.search.objective import Objective
from tune.search.trial import EXPLORING, Stage, Trial


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FinalsPlan:
    """The numbers of leaders to re-measure, of rounds for each, and of updates in the soak."""

    num_finalists: int = 3
    num_rounds: int = 2
    soak_updates: int = 200


def next_step(
    trials: Sequence[Trial],
    plan: FinalsPlan,
    objective: Objective,
    baseline: dict[str, int],
    *,
    time_is_short: bool = False,
) -> tuple[Stage, dict[str, int]] | None:
    """Return the stage and configuration to run next; `None` when finals and soak are done.

    With `time_is_short` the finals end at once, and the rest of the time is for the soak.
    """
    leaders = pick_leaders(trials, plan, objective, baseline)
    failed = disqualified(trials)
    counts = {config_key(config): 0 for config in leaders}
    for trial in trials:
        if trial.stage is Stage.FINAL and config_key(trial.config) in counts:
            counts[config_key(trial.config)] += 1
    waiting = [
        (
            counts[config_key(config)],
            position if counts[config_key(config)] % 2 == 0 else -position,
            config,
        )
        for position, config in enumerate(leaders)
        if config_key(config) not in failed and counts[config_key(config)] < plan.num_rounds
    ]
    if waiting and not time_is_short:
        return Stage.FINAL, min(waiting, key=lambda item: item[:2])[2]
    if plan.soak_updates == 0:
        return None
    winner = choose_candidates(trials, objective).get(winning_kind(objective))
    if winner is None or winner.soak is not None:
        return None
    return Stage.SOAK, winner.config


def typical_s(trials: Iterable[Trial]) -> float:
    """Return the mean seconds of a trial that is measured to its end; 0.0 before there was one."""
    walls = [t.outcome.wall_s for t in trials if t.outcome is not None and t.measurement]
    return statistics.fmean(walls) if walls else 0.0


def expected_s(explored: Sequence[Trial], plan: FinalsPlan, best: Trial | None) -> float:
    """Return the seconds that one more trial, the finals and the soak will take, by earlier trials.

    The leaders are the finalists and two more: the baseline, and another kind's best.
    """
    if best is None or best.measurement is None:
        return 0.0
    num_finals = (plan.num_finalists + 2) * plan.num_rounds
    update_s = best.measurement.env_steps_per_update / best.measurement.steps_per_second
    return typical_s(explored) * (num_finals + 1) + plan.soak_updates * update_s


def pick_leaders(
    trials: Sequence[Trial], plan: FinalsPlan, objective: Objective, baseline: dict[str, int]
) -> list[dict[str, int]]:
    """Return the best by the objective, the best of other kinds, and the baseline, each once.

    Two machines of one class differ by 8 % on average, so the best that a slow one found may not be
    among the best overall: the best of each machine is a leader too.
    """
    explored = [trial for trial in trials if trial.stage in EXPLORING]
    candidates = candidates_of(explored)
    picked = [candidate.config for candidate in ranked(candidates, objective)[: plan.num_finalists]]
    for source in dict.fromkeys(trial.source for trial in explored):
        own = candidates_of(trial for trial in explored if trial.source == source)
        picked += [candidate.config for candidate in ranked(own, objective)[:1]]
    picked += [candidate.config for candidate in choose_by_kind(candidates, objective).values()]
    if any(config_key(candidate.config) == config_key(baseline) for candidate in candidates):
        picked.append(baseline)
    return list({config_key(config): config for config in picked}.values())
