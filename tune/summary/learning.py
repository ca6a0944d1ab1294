"""Learning in words: what learns fastest, against what steps fastest and the baseline. Pure."""

import math

from cluster.pages import units
from search_spaces.config import Config, config_key, config_name
from tune.search.learned import Judgement, Learned
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.speedup import speedup
from tune.search.trial import Stage

_LEAST_GAIN = 1.005
"""A gain that rounds to less than a percent is not worth a word."""

_OWN_END = 0.8
"""A training that missed the target in less than this share of its time ended by itself."""


def headline(winner: Candidate, result: SearchResult) -> str:
    """Return what learns fastest, how much sooner than what steps fastest, and what that is."""
    judgement, own, name = result.judgement, _of(winner, result), config_name(winner.config)
    if judgement is None:
        return f"{name} steps fastest; what learns fastest is not known: nothing was trained"
    if own is None:
        return f"{name} steps fastest; what learns fastest is not known: all that trained failed"
    fastest = result.chosen.get(Kind.FASTEST)
    told = f"{_learned(own, judgement)}{_sooner(own, result, judgement)}"
    if not _is_measured(result):
        learns = f"learns fastest: {config_name(own.config)} ({told})"
        return f"{learns}, whose speed is not yet measured; steps fastest: {name}"
    learns = f"learns fastest: {name} ({told})"
    if fastest is None or config_key(fastest.config) == config_key(winner.config):
        return f"{learns}, and it steps fastest, too"
    return f"{learns}{_faster(fastest, winner)}"


def _faster(fastest: Candidate, winner: Candidate) -> str:
    """Return what steps faster than what learns fastest, as far as that was told apart."""
    gain, name = speedup(fastest, winner), config_name(fastest.config)
    if gain.ratio < _LEAST_GAIN:
        return ""
    if fastest.disturbed or winner.disturbed:
        return f"; steps fastest: {name}, but one of the two was disturbed"
    if gain.is_noise:
        interval = units.times_interval(gain.low, gain.high)
        return f"; steps faster by no more than noise: {name} ({interval})"
    return f"; steps fastest: {name} (+{gain.ratio - 1.0:.0%})"


def rows(winner: Candidate, result: SearchResult) -> list[tuple[str, str]]:
    """Return what the winner learned, against the fastest and the baseline, and how it was seen."""
    judgement, own = result.judgement, _of(winner, result)
    if judgement is None or own is None:
        return []
    found = [("learning", _evidence(own, judgement))]
    config = winner.config if _is_measured(result) else own.config
    fastest = result.chosen.get(Kind.FASTEST)
    others = {
        "the fastest": None if fastest is None else fastest.config,
        "the fastest that trained": _fastest_instead(result, judgement),
        "the baseline": None if result.baseline is None else result.baseline.config,
    }
    for called, other in others.items():
        if other is None or config_key(other) == config_key(config):
            continue
        learned = judgement.of(other)
        text = _untold_of(other, result) if learned is None else _against(own, learned, judgement)
        found.append((f"than {called}", f"{config_name(other)}: {text}"))
    if judgement.tied and own is judgement.best:
        names = ", ".join(config_name(one.config) for one in judgement.tied)
        found.append(("not told apart", f"by {units.plural(own.num_seeds, 'seed')}: {names}"))
    found.append(("trainings", _trainings(result, judgement)))
    return found


def doubts(winner: Candidate, result: SearchResult) -> list[str]:
    """Return what the trainings leave open."""
    judgement, own = result.judgement, _of(winner, result)
    if judgement is None or own is None:
        return [_untold(result)]
    found = []
    if not _is_measured(result):
        found.append(
            f"the speed of {config_name(own.config)} is not yet measured, so that the profile is "
            "of what steps fastest: go on with --resume."
        )
    target = math.inf if judgement.target is None else judgement.target
    if judgement.target is not None and not judgement.by_target:
        in_vain = _reached_in_vain(result, target)
        found.append(
            f"nothing {'that counts ' if in_vain else ''}reached a return of {target:g} in "
            f"{units.fine_duration(judgement.training_s)} of training{in_vain}, so that the return "
            "after that time decided: give more --learn-time, or a lower --target-return."
        )
    if judgement.by_target and all(curve.returns[0] >= target for curve in own.curves):
        found.append(
            f"its first return was at {target:g} or beyond with each seed, so that how soon it "
            "learns is not known: give a higher --target-return, or let it tell a return sooner."
        )
    if own.num_missed and judgement.by_target:
        text = f"{own.num_missed} of its {own.num_seeds} seeds did not reach {judgement.target:g}"
        found.append(f"{text}: {_surer(own, judgement)}")
    if own.num_seeds > 1 and len({curve.returns for curve in own.curves}) == 1:
        found.append(
            "all seeds gave the very same returns, so that nothing is known of others: let the "
            "training draw its networks and environments by the seed that it is given."
        )
    others = [
        t
        for t in result.trials
        if t.outcome is not None and config_key(t.config) != config_key(own.config)
    ]
    if len(judgement.learned) == 1 and any(t.measurement for t in others):
        counts = (
            "that trained counts" if Stage.LEARN in {t.stage for t in others} else "was trained"
        )
        found.append(
            f"nothing else {counts}, so that others may learn faster: give more time, or less "
            "--learn-time."
        )
    if own.num_seeds == 1:
        found.append(
            "it trained with one seed alone, and seeds differ: give --learn-seeds, or more time."
        )
    return found


def _reached_in_vain(result: SearchResult, target: float) -> str:
    """Return what reached the target in a training that does not count, and why it does not."""
    reached = [
        (seconds, trial)
        for trial in result.trials
        if trial.measurement is not None and trial.measurement.curve is not None
        for seconds in [trial.measurement.curve.reached_s(target)]
        if seconds is not None
    ]
    if not reached:
        return ""
    seconds, trial = min(reached, key=lambda one: one[0])
    others = {config_key(one.config) for _, one in reached} - {config_key(trial.config)}
    more = f"; so did {len(others)} more" if others else ""
    why = "while it was disturbed" if trial.is_disturbed else "but another training of it failed"
    name = config_name(trial.config)
    return f" ({name} did after {units.fine_duration(seconds)}, {why}{more})"


def _untold(result: SearchResult) -> str:
    """Return why nothing is known of learning."""
    trained = [t.measurement for t in result.trials if t.stage is Stage.LEARN and t.measurement]
    if result.judgement is not None:
        return "all that trained failed since, so that what learns fastest is not known."
    if not trained:
        return "nothing was trained to its end, so that what learns fastest is not known."
    longest_s = max(one.measure_s for one in trained)
    return (
        f"no episode ended in {units.fine_duration(longest_s)} of training, so that what learns "
        "fastest is not known: give a longer --learn-time."
    )


def _untold_of(config: Config, result: SearchResult) -> str:
    """Return why nothing is known of the learning of one configuration."""
    trained_s = [
        t.measurement.measure_s
        for t in result.trials
        if t.stage is Stage.LEARN and t.measurement and config_key(t.config) == config_key(config)
    ]
    if not trained_s:
        return "it was not trained"
    return f"it told no return in {units.fine_duration(max(trained_s))} of training"


def _is_measured(result: SearchResult) -> bool:
    """Return whether the speed of what learns fastest is known: it is then the winner."""
    return Kind.LEARNING in result.chosen


def _of(winner: Candidate, result: SearchResult) -> Learned | None:
    """Return what was learned by the winner, or by what will be once its speed is measured."""
    config = winner.config if _is_measured(result) else result.learner
    if result.judgement is None or config is None:
        return None
    return result.judgement.of(config)


def _surer(own: Learned, judgement: Judgement) -> str:
    """Return what to do where seeds did not reach the target: take another that did, or wait."""
    sure = [one for one in judgement.learned if one.num_seeds > 1 and not one.num_missed]
    missed = [curve for s, curve in zip(own.seconds, own.curves, strict=True) if s is None]
    short_s = _OWN_END * judgement.training_s
    if not sure and any(one.seconds[-1] < short_s and not one.fell_behind for one in missed):
        return "the training ended by itself, so give it a larger total of steps."
    if not sure:
        return "a longer --learn-time tells more."
    best = min(sure, key=lambda one: one.expected)
    each = ", ".join(_seed_texts(best, judgement))
    return f"a missed one counts as twice its time. Surer is {config_name(best.config)}: {each}."


def _learned(own: Learned, judgement: Judgement) -> str:
    """Return what one learned, in a few words."""
    if judgement.by_target:
        target = f"{judgement.target:g}"
        if own.typical_s is None:
            return (
                f"{own.num_missed} of {units.plural(own.num_seeds, 'seed')} did not reach {target}"
            )
        return f"{target} after {units.fine_duration(own.typical_s)} of training"
    return f"{_mean(own.finals)} after {units.fine_duration(judgement.training_s)} of training"


def _fastest_instead(result: SearchResult, judgement: Judgement) -> Config | None:
    """Return what steps fastest of all that trained, if what steps fastest did not train.

    The finals may find another to be the fastest than exploring did.
    """
    fastest = result.chosen.get(Kind.FASTEST)
    if fastest is None or judgement.of(fastest.config) is not None:
        return None
    return max(judgement.learned, key=lambda one: one.steps_per_second).config


def _sooner(own: Learned, result: SearchResult, judgement: Judgement) -> str:
    """Return how many times sooner it is at the target than what steps fastest, or fastest of what
    trained, if that is told.
    """
    fastest, instead = result.chosen.get(Kind.FASTEST), _fastest_instead(result, judgement)
    if fastest is None:
        return ""
    called = "what steps fastest" if instead is None else config_name(instead)
    other = judgement.of(fastest.config if instead is None else instead)
    if other is None or own.typical_s is None or other.typical_s is None:
        return ""
    ratio, low, _ = judgement.sooner(own, other)
    return f", {units.times(ratio, 1.0)} sooner than {called}" if low > 1.0 else ""


def _evidence(own: Learned, judgement: Judgement) -> str:
    what = "the return of held-out episodes" if own.curves[0].held_out else "the mean return"
    seeds = ", ".join(_seed_texts(own, judgement))
    return f"{what}: {_learned(own, judgement)} (each seed: {seeds})"


def _seed_texts(own: Learned, judgement: Judgement) -> list[str]:
    if not judgement.by_target:
        return [f"{value:.4g}" for value in own.finals]
    return ["not reached" if s is None else units.fine_duration(s) for s in own.seconds]


def _against(own: Learned, other: Learned, judgement: Judgement) -> str:
    if not judgement.by_target:
        least = abs(own.value - other.value) <= judgement.side(own, other)
        same = ", not told apart by these seeds" if least else ""
        return f"{_mean(other.finals)} after the same time{same}"
    if other.typical_s is None:
        waited_s = other.waited_s
        times = f", {units.times(waited_s / own.typical_s)} as long" if own.typical_s else ""
        return f"{_learned(other, judgement)} in {units.fine_duration(waited_s)}{times}"
    ratio, low, high = judgement.sooner(own, other)
    bounds = units.times_interval(low, high)
    if low <= 1.0 <= high:
        return f"not told apart by these seeds: {bounds} as long"
    return f"{units.times(ratio, 1.0)} as long ({bounds})"


def _trainings(result: SearchResult, judgement: Judgement) -> str:
    trained = [t for t in result.trials if t.stage is Stage.LEARN and t.outcome is not None]
    took_s = sum(t.outcome.wall_s for t in trained if t.outcome is not None)
    return (
        f"{units.plural(len(trained), 'training')} from scratch of "
        f"{units.plural(len(judgement.learned), 'configuration')}, each of "
        f"{units.fine_duration(judgement.training_s)} at most: {units.duration(took_s)} in all"
    )


def _mean(values: tuple[float, ...]) -> str:
    return f"a return of {sum(values) / len(values):.4g}"
