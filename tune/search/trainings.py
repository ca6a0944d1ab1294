"""The trainings from scratch after exploring: which configuration is next, and for how long. Pure.

First the baseline and the fastest train with one seed, then what the model of `progress` proposes,
out of the whole space: what learns fastest need not be among what steps fastest. Then come rounds
of successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): the half that looks best
trains with one seed more, for as long as the others did at most. While there is time, the best and
its likeliest rival then train on, seed by seed.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np

from search_spaces.config import Config, config_key
from trainables.curve import LearningGate, TrainingRequest
from tune.search import explore, feasibility, learning, progress
from tune.search.candidates import disqualified
from tune.search.learned import Judgement, LearningPlan
from tune.search.learning import expected_gain, judge
from tune.search.problem import Explored
from tune.search.progress import Prediction, Trained
from tune.search.rounds import counted
from tune.search.trial import EXPLORING, Stage, Trial

_BEHIND = 3.0
"""A training that takes so many times as long as the best so far is ended."""

_LEAST_GAIN = 0.02
"""Expected improvement in log seconds below which nothing more is trained; of returns, as a share
of what the best has learned.
"""

_LEAST_CHANCE = 0.5
"""The least chance to fit into memory of what is proposed."""

_MOST_SEEDS = 2
"""No configuration trains with more than so many times the seeds that were asked for: two that are
nearly alike are never told apart, and need not be. One is asked for where there are no others.
"""

_GATES = (0.25, 0.5, 0.75)
"""Without a target: the shares of a training at which it is compared with the best."""


def next_training(
    trials: Sequence[Trial],
    plan: LearningPlan,
    known: Explored,
    fastest: Config | None,
    rng: np.random.Generator,
) -> Config | None:
    """Return the configuration to train next; `None` when as much is known as was planned.

    `known` has what exploring found, `fastest` is the best of that.
    """
    started = {config_key(t.config): t.config for t in trials if t.stage is Stage.LEARN}
    done = counted(trials, Stage.LEARN, list(started.values()))
    failed, judgement = disqualified(trials), judge(trials, plan)
    told = set() if judgement is None else {config_key(one.config) for one in judgement.learned}
    first = [config for config in (known.problem.baseline, fastest) if config is not None]
    missing = [
        config
        for config in (*first, *started.values())  # of these some may be lost
        if not done.get(config_key(config)) and config_key(config) not in failed
    ]
    untold = [config for config in missing if config_key(config) not in told]
    if untold:
        return untold[0]
    if judgement is None:
        return None
    target = judgement.target if judgement.by_target else None
    trained = learning.trained(judgement.learned, target)
    if len(started) < plan.num_first:
        proposed = _propose(known, trained, list(started.values()), rng)
        if proposed is not None:
            return proposed
    disturbed = [config for config in first if config in missing]
    if disturbed:
        return disturbed[0]
    ranked = [one.config for one in sorted(judgement.learned, key=lambda one: one.expected)]
    # One that was disturbed has its place in the first round, and is run again if it goes on.
    num_seeds = [max(1, len(done[config_key(config)])) for config in ranked]
    for seed, number in enumerate(plan.rounds):
        if sum(had > seed for had in num_seeds) < number and seed in num_seeds:
            return ranked[num_seeds.index(seed)]
    if _spent_s(trials) >= plan.budget_s(trials):
        return None
    most_seeds = _MOST_SEEDS * plan.num_seeds if plan.num_seeds > 1 else 1
    undecided = [
        config for config in _undecided(judgement) if len(done[config_key(config)]) < most_seeds
    ]
    return min(undecided, key=lambda config: len(done[config_key(config)]), default=None)


def _undecided(judgement: Judgement) -> list[Config]:
    """Return the best and its likeliest rival, if that may be better by more than a little.

    Where nothing was learned, no seed more helps.
    """
    gains = {expected_gain(one, judgement.best): one for one in judgement.learned[1:]}
    most = max(gains, default=0.0)
    is_little = most < _LEAST_GAIN * judgement.unit or judgement.unit <= 0.0
    return [] if is_little else [judgement.best.config, gains[most].config]


def _spent_s(trials: Sequence[Trial]) -> float:
    """Return the wall seconds of the trainings, those that run as long as the others took."""
    own = [trial.outcome for trial in trials if trial.stage is Stage.LEARN]
    ended = [outcome.wall_s for outcome in own if outcome is not None]
    return len(own) * statistics.fmean(ended) if ended else 0.0


def seed_of(trials: Sequence[Trial], trial: Trial) -> int:
    """Return the seed of a training: the least that none of its configuration has which counts, or
    still ran as this one began. One run again has the same.
    """
    key = config_key(trial.config)
    trainings = [t for t in trials if t.stage is Stage.LEARN and t.number <= trial.number]
    seeds: dict[int, int] = {}
    for place, one in enumerate(trainings):
        if config_key(one.config) != key:
            continue
        before = [_as_of(other, one.started_at) for other in trainings[:place]]
        configs = {config_key(other.config): other.config for other in before}
        had = counted(before, Stage.LEARN, list(configs.values())).get(key, ())
        taken = {seeds[other.number] for other in had}
        seeds[one.number] = next(seed for seed in itertools.count() if seed not in taken)
    return seeds[trial.number]


def _as_of(trial: Trial, moment: float | None) -> Trial:
    """Return a trial as it was at a moment: nobody knew yet how one ends that still ran."""
    if moment is None or trial.ended_at is None or trial.ended_at <= moment:
        return trial
    return dataclasses.replace(trial, outcome=None)


def request(trials: Sequence[Trial], plan: LearningPlan, seed: int) -> TrainingRequest:
    """Return how long a training with a seed may take, and what it must have learned by when."""
    longest_s, judgement = plan.longest_s(trials), judge(trials, plan)
    gates = () if judgement is None else _gates(judgement, plan.target)
    return TrainingRequest(max_s=longest_s, target=plan.target, gates=gates, seed=seed)


def _gates(judgement: Judgement, target: float | None) -> tuple[LearningGate, ...]:
    """Return the moments that are `_BEHIND` times as late as the best may be there.

    One lucky seed must not end the others.
    """
    best, longest_s = judgement.best, judgement.training_s
    if judgement.by_target and target is not None:
        late_s = _BEHIND * math.exp(best.error - best.value)
        return (LearningGate(seconds=late_s, least_return=target),) if late_s < longest_s else ()
    gates = []
    for share in _GATES:
        had = [curve.best_until(share * longest_s / _BEHIND) for curve in best.curves]
        known = [value for value in had if value is not None]
        if known:
            gates.append(LearningGate(seconds=share * longest_s, least_return=min(known)))
    return tuple(gates)


def _propose(
    known: Explored, trained: list[Trained], started: list[Config], rng: np.random.Generator
) -> Config | None:
    """Return the configuration from which the model expects most; `None` if that is little."""
    tried = {config_key(config) for config in started}
    failed = {config_key(trial.config) for trial, _ in known.scored if trial.failed}
    configs = [
        config
        for config in known.problem.space.configurations()
        if config_key(config) not in tried | failed
    ]
    speeds = explore.expected_speeds(known, configs, rng)
    if not configs or speeds is None:
        return None
    found: Prediction = progress.predict(known.problem.space, trained, configs, speeds)
    gains = found.improvement * (feasibility.chances(known, configs) >= _LEAST_CHANCE)
    best = int(np.argmax(gains))
    return configs[best] if gains[best] >= _LEAST_GAIN else None


def expected_s(trials: Sequence[Trial], plan: LearningPlan) -> float:
    """Return the seconds that the trainings take that are still to come, at most."""
    ended = [t.outcome.wall_s for t in trials if t.outcome and t.stage is Stage.LEARN]
    explored = [t.outcome.wall_s for t in trials if t.outcome and t.stage in EXPLORING]
    start_s = min(explored, default=0.0)
    typical_s = sum(ended) / len(ended) if ended else plan.longest_s(trials) + start_s
    return max(0, plan.num_trainings - len(ended)) * typical_s
