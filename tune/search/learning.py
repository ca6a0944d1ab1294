"""The learning of configurations that trained from scratch, judged over seeds. Pure.

What counts is the time to the target, or, without one, the return after the same time of training.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit

from search_spaces.config import ConfigKey, config_key
from trainables.curve import LearningCurve
from tune.search import gpus, progress
from tune.search.learned import Judgement, Learned, LearningPlan
from tune.search.progress import SEED_SD, Trained
from tune.search.rounds import counted
from tune.search.sampler import expected_lead
from tune.search.trial import Stage, Trial

_TIED_SHARE = 0.1
"""Without a target, what is nearer to the best than this share of what that has learned is tied."""

_PENALTY = 2.0
"""A training that did not reach a level is taken to need so many times the time that it had."""

_LEVEL = 0.9
"""Without a target, the share of what the best has learned that is taken for a level."""

_WAY = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The shares of what is to be learned that a training is timed at."""

_KNOWN_DOF = 2.0


def judge(trials: Sequence[Trial], plan: LearningPlan) -> Judgement | None:
    """Return what the trainings tell; `None` before the first that tells a return.

    Those with more seeds come first. A seed that did not reach the target counts as twice its time.
    """
    groups = _groups(trials)
    if not groups:
        return None
    training_s = plan.longest_s(trials)
    by_target = plan.target is not None and any(
        trial_curve.reached_s(plan.target) is not None
        for own in groups.values()
        for trial_curve in _curves(own)
    )
    compile_s = _compile_s(trials)
    found = [
        _learned(own, plan, training_s, compile_s[key], by_target=by_target)
        for key, own in groups.items()
    ]
    target = plan.target if by_target else None
    sd, dof = _between_seeds(found, target)
    expected = progress.expected(trained(found, target))
    learned = [
        dataclasses.replace(one, error=sd / math.sqrt(one.num_seeds), expected=float(log_s))
        for one, log_s in zip(found, expected, strict=True)
    ]
    learned.sort(key=lambda one: (-min(one.num_seeds, plan.num_seeds), -one.value))
    first, quantile = learned[0], float(stdtrit(max(dof, 1.0), 0.975))
    enough = min(first.num_seeds, plan.num_seeds)
    equals = [one for one in learned if one.num_seeds >= enough]
    best = _best_of(equals, span=None if by_target else _span(found))
    close = [
        one
        for one in equals
        if best.value - one.value <= quantile * math.hypot(best.error, one.error)
    ]
    return Judgement(
        learned=(best, *(one for one in learned if one is not best)),
        target=plan.target,
        by_target=by_target,
        training_s=training_s,
        tied=tuple(one for one in close if one is not best),
        quantile=quantile,
        unit=1.0 if by_target else _span(found),
    )


def _best_of(equals: Sequence[Learned], *, span: float | None) -> Learned:
    """Return the best of those with enough seeds, of which the first has the best mean.

    Others within a standard error of it may be as good (Breiman et al. 1984). Of these, what is
    expected by all that trained decides, with their speed in it. Without a target, `span` is how
    much the best has learned: of those that are tied, the fastest.
    """
    first = equals[0]
    rivals = [
        one for one in equals if first.value - one.value <= math.hypot(first.error, one.error)
    ]
    if span is None:
        return min(rivals, key=lambda one: one.expected)
    tied = (one for one in rivals if first.value - one.value <= _TIED_SHARE * span)
    return max(tied, key=lambda one: one.steps_per_second)


def expected_gain(one: Learned, best: Learned) -> float:
    """Return by how much one may be expected to beat another, in the unit of values: the mean of
    its lead, where it leads.
    """
    lead, error = one.value - best.value, math.hypot(one.error, best.error)
    if error == 0.0:  # seeds that all gave the same
        return max(0.0, lead)
    return float(expected_lead(lead, error))


def trained(learned: Sequence[Learned], target: float | None) -> list[Trained]:
    """Return each with its mean log seconds, as the model of `progress` takes them."""
    return [
        Trained(
            config=one.config,
            log_seconds=log_s,
            num_seeds=one.num_seeds,
            speed=one.steps_per_second,
            samples=one.env_steps_per_update,
        )
        for one, log_s in zip(learned, log_seconds(learned, target), strict=True)
    ]


def log_seconds(learned: Sequence[Learned], target: float | None) -> list[float]:
    """Return the mean log seconds of each, over its seeds and over levels on the second half of the
    way to the target, or to nearly what the best has learned.

    When a seed arrives is luck for a good part, and some never do: one seed tells more of its
    configuration by its way. A level that was not reached counts as if it were, in twice the time
    that the training had.
    """
    start = _start(learned)
    if target is None:
        most = max(statistics.fmean(one.finals) for one in learned)
        target = start + _LEVEL * (most - start)
    levels = levels_on_the_way(start, target)
    return [
        statistics.fmean(
            math.log(one.stretch * _seconds_to(level, curve, one.training_s))
            for curve in one.curves
            for level in levels
        )
        for one in learned
    ]


def levels_on_the_way(start: float, target: float) -> list[float]:
    """Return the returns at which a training is timed, the target as the last."""
    start = min(start, target)  # some begin with more than they are to learn
    return [start + share * (target - start) for share in _WAY]


def _groups(trials: Sequence[Trial]) -> dict[ConfigKey, list[Trial]]:
    """Return the trainings that count and told a return, by configuration.

    A disturbed one, which does not count, stands for its configuration where nothing else is known.
    On several GPUs they are as if all had run on the first one's. One that failed tells nothing,
    and yet counts among those that began: seeds are given by the same repeats.
    """
    configs = {config_key(t.config): t.config for t in trials if t.stage is Stage.LEARN}
    latest = {
        config_key(t.config): [t]
        for t in trials
        if t.stage is Stage.LEARN and t.measurement and t.measurement.curve
    }
    failed = {config_key(t.config) for t in trials if t.stage is Stage.LEARN and t.failed}
    done = counted(trials, Stage.LEARN, list(configs.values()))
    told = {
        key: [t for t in own if t.measurement and t.measurement.curve] or latest.get(key, [])
        for key, own in done.items()
        if key not in failed
    }
    relative = gpus.relative_speeds(trials)
    first = next((t for t in trials if t.stage is Stage.LEARN and t.outcome is not None), None)
    of_first = 1.0 if first is None else gpus.slowest(first, relative)
    return {
        key: [_at_speed(t, gpus.slowest(t, relative) / of_first) for t in own]
        for key, own in told.items()
        if own
    }


def _at_speed(trial: Trial, share: float) -> Trial:
    """Return a training as if its GPU were as fast as one of which it has this share of speed."""
    outcome, measured = trial.outcome, trial.measurement
    if share == 1.0 or outcome is None or measured is None or measured.curve is None:
        return trial
    curve = dataclasses.replace(
        measured.curve, seconds=tuple(share * seconds for seconds in measured.curve.seconds)
    )
    faster = dataclasses.replace(
        measured, curve=curve, steps_per_second=measured.steps_per_second / share
    )
    return dataclasses.replace(trial, outcome=dataclasses.replace(outcome, measurement=faster))


def _curves(trials: Sequence[Trial]) -> tuple[LearningCurve, ...]:
    found = (trial.measurement.curve for trial in trials if trial.measurement is not None)
    return tuple(curve for curve in found if curve is not None)


def _compile_s(trials: Sequence[Trial]) -> dict[ConfigKey, float]:
    """Return the longest compilation of each configuration: others read what it left behind."""
    longest: dict[ConfigKey, float] = {}
    for trial in trials:
        if trial.measurement is not None:
            key = config_key(trial.config)
            longest[key] = max(longest.get(key, 0.0), trial.measurement.compile_s)
    return longest


def _learned(
    trials: Sequence[Trial],
    plan: LearningPlan,
    training_s: float,
    compile_s: float,
    *,
    by_target: bool,
) -> Learned:
    curves = _curves(trials)
    measured = [trial.measurement for trial in trials if trial.measurement is not None]
    stretch = 1.0 + compile_s / plan.planned_s
    seconds: tuple[float | None, ...] = (None,) * len(curves)
    finals = tuple(curve.final(training_s / stretch) for curve in curves)
    value = statistics.fmean(finals)
    if by_target:
        assert plan.target is not None
        reached = [curve.reached_s(plan.target) for curve in curves]
        seconds = tuple(None if one is None else one * stretch for one in reached)
        value = -statistics.fmean(
            math.log(stretch * _seconds_to(plan.target, curve, training_s)) for curve in curves
        )
    return Learned(
        config=trials[-1].config,
        curves=curves,
        seconds=seconds,
        finals=finals,
        areas=tuple(curve.mean_until(training_s / stretch) for curve in curves),
        value=value,
        steps_per_second=measured[-1].steps_per_second,
        env_steps_per_update=measured[-1].env_steps_per_update,
        stretch=stretch,
        training_s=training_s,
    )


def _seconds_to(level: float, curve: LearningCurve, training_s: float) -> float:
    """Return the seconds to a level, or what counts for them where it was not reached.

    One that ended by itself, as at its total of steps, counts as if it had trained on in vain: what
    steps fastest comes to its total soonest.
    """
    reached = curve.reached_s(level)
    if reached is not None:
        return reached
    return _PENALTY * (
        curve.seconds[-1] if curve.fell_behind else max(curve.seconds[-1], training_s)
    )


def _between_seeds(learned: Sequence[Learned], target: float | None) -> tuple[float, float]:
    """Return the standard deviation between seeds of one configuration, and its freedom: of log
    seconds to the target, or, without one, of returns.

    Of returns nothing is known before two seeds of one trained. Seeds that all missed the target
    are alike by the time that they had, which says nothing of those that reach it.
    """
    squares, dof = 0.0, 0.0
    for one in learned:
        if target is not None and one.num_missed == one.num_seeds:
            continue
        values = list(one.finals)
        if target is not None:
            values = [math.log(_seconds_to(target, curve, one.training_s)) for curve in one.curves]
        mean = statistics.fmean(values)
        squares += sum((value - mean) ** 2 for value in values)
        dof += len(values) - 1
    if target is not None:
        squares, dof = squares + _KNOWN_DOF * SEED_SD**2, dof + _KNOWN_DOF
    return (math.sqrt(squares / dof), dof) if dof else (math.inf, 0.0)


def _start(learned: Sequence[Learned]) -> float:
    """Return the return of those that have learned nothing."""
    return statistics.median(curve.returns[0] for one in learned for curve in one.curves)


def _span(learned: Sequence[Learned]) -> float:
    """Return how much the best has learned."""
    return max(0.0, max(statistics.fmean(one.finals) for one in learned) - _start(learned))
