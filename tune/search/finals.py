"""The finals after exploring: the leaders are re-measured in turn, levers of the runtime are tried
on the winner, and what is best then is soaked.

Pure: everything is a function of the trials so far, so that a resumed search continues.

The maximum over noisy measurements is biased upwards, and a process can stay in a fast or a slow
mode for seconds. So the leaders and the baseline are measured again in fresh processes, in rounds
(A B C, then C B A), and a profile has the speed of these measurements alone. A final that was
disturbed is run again, within bounds. Where time is short, leaders are left out and not rounds: one
round cannot tell a gain from noise.

It is a race: a leader that is beaten runs no more, and those that are not told apart run on, up to
twice as many rounds. So do the best and the baseline where some of their finals were disturbed.
"""

import collections
import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

from search_spaces.config import Config, ConfigKey, config_key, num_devices
from tune.search import levers
from tune.search.candidates import (
    candidates_of,
    choose_by_kind,
    choose_candidates,
    disqualified,
    ranked,
    winning_kind,
)
from tune.search.effort import FinalsOrder
from tune.search.levers import Lever
from tune.search.objective import Objective
from tune.search.race import race_of
from tune.search.result import Candidate, Kind, winner_of
from tune.search.rounds import counted
from tune.search.trial import EXPLORING, Stage, Trial

_MOST_SOAKS = 2
"""Soaks of the winner: another, where one contradicts the finals."""

_MOST_ROUNDS = 2
"""Times the planned rounds that leaders run at most."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FinalsPlan:
    """The numbers of leaders to re-measure, of rounds for each, and of updates in the soak.

    `order`: "together" runs finals and trainings beside each other where there are places for it,
    "auto" does where a measured pair says that it changes nothing. `levers` are those to try on the
    winner.
    """

    num_finalists: int = 3
    num_rounds: int = 2
    soak_updates: int = 200
    order: FinalsOrder = "alone"
    levers: tuple[Lever, ...] = ()

    @property
    def num_trials(self) -> int:
        """The trials that it typically takes, without the soak.

        Leaders are the finalists and two more: the baseline, and another kind's best. What the race
        saves, it spends on those that are not told apart. Of the levers all are tried once, one is
        tried again beside the winner, and has finals of its own.
        """
        of_leaders = (self.num_finalists + 2) * self.num_rounds
        if not self.levers:
            return of_leaders
        return of_leaders + len(self.levers) + 1 + 2 * (self.num_rounds - 1) + self.num_rounds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Affordable:
    """The numbers of further finals that there is time for: of any leader, beside the soak, and of
    the best and the baseline, for which the soak is cut short.
    """

    num: float = math.inf
    num_needed: float = math.inf


def next_step(
    trials: Sequence[Trial],
    plan: FinalsPlan,
    objective: Objective,
    baseline: Config,
    *,
    learner: Config | None = None,
    affordable: Affordable = Affordable(),
) -> tuple[Stage, Config] | None:
    """Return the stage and configuration to run next; `None` when finals and soak are done.

    `learner` is what learned fastest, where that is searched: nothing else is soaked. Without time
    for a final they end at once. With time for a few, the best and the baseline come to all their
    rounds first.
    """
    leaders = pick_leaders(trials, plan, objective, baseline, learner)
    race = race_of(trials, leaders, objective, baseline, num_rounds=plan.num_rounds)
    final = _next_final(trials, plan, race.running, race.needed, affordable)
    if final is None:
        final = _next_further(trials, plan, race.rivals, affordable)
    if final is not None:
        return Stage.FINAL, final
    chosen = choose_candidates(trials, objective, learner, baseline=baseline)
    kind = winner_of(chosen, winning_kind(objective))
    if kind is None:
        return None
    winner = chosen[kind]
    if plan.levers and affordable.num > plan.num_rounds:  # one that is kept has finals of its own
        tried = levers.next_trial(trials, plan.levers, winner.config, num_rounds=plan.num_rounds)
        if tried is not None:
            return Stage.LEVER, tried
    kept = levers.kept(trials)
    if kept is not None:
        final = _next_final(trials, plan, [kept], {config_key(kept)}, affordable)
        if final is not None:
            return Stage.FINAL, final
    if plan.soak_updates == 0:
        return None
    if learner is not None and Kind.LEARNING not in chosen:
        return Stage.SOAK, learner  # no time for a final: the soak tells its speed, too
    return (Stage.SOAK, winner.config) if _is_to_soak(winner, affordable) else None


def _is_to_soak(winner: Candidate, affordable: Affordable) -> bool:
    """Return whether it has no soak yet, or another is due, as one contradicts the finals."""
    is_doubtful = winner.slower_soak is not None and affordable.num >= 1
    return not winner.soaks or (is_doubtful and len(winner.soaks) < _MOST_SOAKS)


def _next_final(
    trials: Sequence[Trial],
    plan: FinalsPlan,
    leaders: Sequence[Config],
    needed: Collection[ConfigKey],
    affordable: Affordable,
) -> Config | None:
    """Return the leader whose turn it is; `None` when all have had their rounds, or time is up."""
    failed = disqualified(trials)
    done = counted(trials, Stage.FINAL, leaders)
    counts = {key: len(finals) for key, finals in done.items()}
    left = {
        config_key(config): plan.num_rounds - counts[config_key(config)]
        for config in leaders
        if config_key(config) not in failed and counts[config_key(config)] < plan.num_rounds
    }
    to_run = _to_run(left, counts, needed, affordable)
    disturbed = collections.Counter(
        config_key(trial.config)
        for trial in trials
        if trial.stage is Stage.FINAL and trial.is_disturbed
    )
    # One that was disturbed comes after the others of its round: the neighbour may be gone then.
    waiting = [
        (
            counts[config_key(config)],
            disturbed[config_key(config)],
            position if counts[config_key(config)] % 2 == 0 else -position,
            config,
        )
        for position, config in enumerate(leaders)
        if config_key(config) in to_run
    ]
    return min(waiting, key=lambda item: item[:3])[3] if waiting else None


def _next_further(
    trials: Sequence[Trial], plan: FinalsPlan, rivals: Sequence[Config], affordable: Affordable
) -> Config | None:
    """Return the rival whose turn it is in a round beyond the planned ones; `None` if there is no
    time for all of that round.
    """
    further = dataclasses.replace(plan, num_rounds=_MOST_ROUNDS * plan.num_rounds)
    counts = [len(finals) for finals in counted(trials, Stage.FINAL, rivals).values()]
    if not counts or counts.count(min(counts)) > affordable.num:
        return None
    return _next_final(trials, further, rivals, set(map(config_key, rivals)), affordable)


def _to_run(
    left: Mapping[ConfigKey, int],
    counts: Mapping[ConfigKey, int],
    needed: Collection[ConfigKey],
    affordable: Affordable,
) -> set[ConfigKey]:
    """Return the leaders to run: those that are needed, and others all of whose rounds fit beside
    theirs, those that have begun first.
    """
    chosen = {key for key in left if key in needed and affordable.num_needed >= 1}
    num_finals = sum(rounds for key, rounds in left.items() if key in needed)
    others = [key for key in left if key not in needed]
    for key in sorted(others, key=lambda key: counts[key] == 0):
        if num_finals + left[key] <= affordable.num:
            chosen.add(key)
            num_finals += left[key]
    return chosen


def expected_s(final_s: float, plan: FinalsPlan, best: Trial | None) -> float:
    """Return the seconds that the finals, each of `final_s`, and the soak take."""
    if best is None or best.measurement is None:
        return 0.0
    update_s = best.measurement.env_steps_per_update / best.measurement.steps_per_second
    return final_s * plan.num_trials + plan.soak_updates * update_s


def pick_leaders(
    trials: Sequence[Trial],
    plan: FinalsPlan,
    objective: Objective,
    baseline: Config,
    learner: Config | None = None,
) -> list[Config]:
    """Return the best by the objective, the best of other kinds, and the baseline, each once.

    The `learner` comes first. Of the others only the fastest is then of interest.

    Two machines of one class differ by 8 % on average, so the best that a slow one found may not be
    among the best overall: the best of each machine is a leader too. So is the best on each number
    of GPUs: a person who rents them wants to know what each is worth.
    """
    explored = [trial for trial in trials if trial.stage in EXPLORING]
    candidates = candidates_of(explored)
    most = plan.num_finalists if learner is None else 1
    picked = [candidate.config for candidate in ranked(candidates, objective)[:most]]
    if learner is not None:
        picked.insert(0, learner)
    for source in dict.fromkeys(trial.source for trial in explored):
        own = candidates_of(trial for trial in explored if trial.source == source)
        picked += [candidate.config for candidate in ranked(own, objective)[:1]]
    for number in sorted({num_devices(candidate.config) for candidate in candidates}):
        own = [candidate for candidate in candidates if num_devices(candidate.config) == number]
        picked += [candidate.config for candidate in ranked(own, objective)[:1]]
    picked += [candidate.config for candidate in choose_by_kind(candidates, objective).values()]
    if any(config_key(candidate.config) == config_key(baseline) for candidate in candidates):
        picked.append(baseline)
    return list({config_key(config): config for config in picked}.values())
