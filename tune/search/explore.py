"""The next configuration to explore: the baseline, then those that profiles of other machines
recommend, then a ramp while it pays, then the sampler's. Pure.

The sampler weighs a trial's expected gain by the probability that it fits into memory.
"""

import dataclasses
import heapq
from collections.abc import Sequence

import numpy as np

from search_spaces.config import (
    DEVICES,
    Config,
    ConfigKey,
    config_key,
    doublings,
    is_smaller,
    num_devices,
    weight,
)
from trainables.measurement import OutcomeKind
from tune.memory.model import Array
from tune.search import feasibility, sampler, stopping
from tune.search.problem import Explored
from tune.search.trial import Scored, Stage, Trial

_MAX_STRIDES = 3
_LEAST_CHANCE = 0.5
"""The least chance to fit of a step of the ramp."""

_MAX_CANDIDATES = 4096
"""The most configurations that the sampler looks at: of more, so many at random, anew each time."""

_MAX_REVISITS = 3
_HALF = 0.5

_LEAST_CHANCE_WARM = 0.1
"""The same for a recommended configuration, which is known to run on another machine."""


@dataclasses.dataclass(frozen=True, slots=True)
class Proposed:
    """Configurations to try next, the best first, and the kernel by which they were chosen."""

    stage: Stage
    configs: list[Config]
    kernel: sampler.Kernel | None


def propose_batch(
    known: Explored, rng: np.random.Generator, size: int, kernel: sampler.Kernel | None
) -> Proposed | None:
    """Return configurations that were not tried, to try beside each other; `None` if all were.

    Only the sampler proposes more than one.

    A `kernel` of an earlier batch serves the sampler again while it may.
    """
    baseline, grid = known.problem.baseline, known.problem.grid
    if not known.has_tried(baseline):
        return Proposed(Stage.BASELINE, [baseline], kernel)
    if not known.untried:
        return None
    untried = [grid.configs[row] for row in known.untried]
    recommended = _warm(known, untried)
    if recommended is not None:
        return Proposed(Stage.WARM, [recommended], kernel)
    step = _ramp(known, untried)
    if step is not None:
        return Proposed(Stage.RAMP, [step], kernel)
    unknown = untried_devices(known)
    if unknown is not None:
        return Proposed(Stage.SEARCH, [unknown], kernel)
    return _sample(known, untried, rng, size, kernel)


def revisit(known: Explored) -> Config | None:
    """Return a configuration to explore once more, because it was disturbed.

    It is the best of those that could lead without a neighbour, who takes at most half of the
    machine; at most three are revisited, each once.
    """
    times: dict[ConfigKey, list[Scored]] = {}
    for one in known.scored:
        times.setdefault(config_key(one.trial.config), []).append(one)
    best = max((score for _, score in known.scored if score is not None), default=0.0)
    again = [
        (score, trial.config)
        for (trial, score), *later in times.values()
        if trial.is_disturbed and not later and score is not None and score >= _HALF * best
    ]
    num_revisited = sum(len(visits) > 1 for visits in times.values())
    if not again or num_revisited >= _MAX_REVISITS:
        return None
    return max(again, key=lambda item: item[0])[1]


def untried_devices(known: Explored, *, of_best: bool = False) -> Config | None:
    """Return the best configuration so far for another number of GPUs, with as much for each.

    It is for the next number that nothing was tried on; with `of_best` for the next on which that
    very shape was not tried, so that numbers are compared by what is best on one of them.
    """
    if DEVICES not in known.problem.space.names:
        return None
    ran = [one for one in known.scored if one.score is not None]
    if not ran:
        return None
    best = max(ran, key=lambda one: one.score or 0.0).trial.config
    begun = {num_devices(trial.config) for trial, _ in known.scored}
    configs = known.problem.grid.configs
    for number in sorted({num_devices(config) for config in configs}):
        if number == num_devices(best) or (number in begun and not of_best):
            continue
        target = best | {DEVICES: number}
        for name in {"num_envs", "batch_size"} & target.keys():
            target[name] *= number / num_devices(best)
        nearest = min(
            (config for config in configs if num_devices(config) == number),
            key=lambda config: doublings(config, target),
        )
        fits = feasibility.chances(known, [nearest])[0] >= _LEAST_CHANCE
        if fits and not known.has_tried(nearest):
            return nearest
    return None


def _warm(known: Explored, untried: list[Config]) -> Config | None:
    """Return the next recommended configuration that has a chance to fit here."""
    return next(
        (
            config
            for config in known.problem.warm_start
            if config in untried and feasibility.chances(known, [config])[0] >= _LEAST_CHANCE_WARM
        ),
        None,
    )


def _ramp(known: Explored, untried: list[Config]) -> Config | None:
    """Return the next step along num_envs, at most three in all, while they pay.

    The ramp begins at the baseline, or at a recommended configuration that did better. It reaches
    the memory limit from its safe side and gives the models their first slopes. batch_size grows
    with num_envs, as it does for a person who raises num_envs alone.
    """
    begun = [one for one in known.scored if one.trial.stage in {Stage.BASELINE, Stage.WARM}]
    strides = [one for one in known.scored if one.trial.stage is Stage.RAMP]
    if len(begun) + len(strides) < len(known.scored) or len(strides) >= _MAX_STRIDES:
        return None
    climbed = [max(begun, key=lambda one: one.score or 0.0), *strides]
    if "num_envs" not in known.problem.baseline or not _pays(climbed, known.min_gain):
        return None
    last = climbed[-1].trial
    upward = [config for config in untried if config["num_envs"] > last.config["num_envs"]]
    if not upward:
        return None
    top = max(config["num_envs"] for config in upward)
    factor = (top / last.config["num_envs"]) ** (1.0 / (_MAX_STRIDES + 1 - len(climbed)))
    target = dict(last.config)
    target["num_envs"] *= factor
    if "batch_size" in target:
        target["batch_size"] *= factor
    likely = feasibility.chances(known, upward) >= _LEAST_CHANCE
    steps = [config for config, fits in zip(upward, likely, strict=True) if fits]
    return min(steps, key=lambda config: doublings(config, target), default=None)


def _pays(climbed: Sequence[Scored], min_gain: float) -> bool:
    """Return whether the last step was a gain; one that runs or was disturbed counts as one."""
    last, score = climbed[-1]
    if last.outcome is None or last.is_disturbed:
        return True
    if last.outcome.kind is not OutcomeKind.COMPLETED or score is None:
        return False
    before = climbed[-2].score if len(climbed) > 1 else None
    return before is None or score > before * (1.0 + min_gain)


def _sample(
    known: Explored,
    untried: list[Config],
    rng: np.random.Generator,
    size: int,
    kernel: sampler.Kernel | None,
) -> Proposed:
    ran = [trial.config for trial, score in known.scored if score is not None]
    informative = [
        place
        for place, (trial, score) in enumerate(known.scored)
        if trial.outcome is not None
        and (score is not None or not _says_nothing_of_speed(trial) or _dies_of_size(trial, ran))
    ]
    if all(known.scored[place].score is None for place in informative):
        # Start again from the lightest.
        return Proposed(Stage.SEARCH, heapq.nsmallest(size, untried, key=weight), kernel)
    rows = np.array(known.untried)
    if len(rows) > _MAX_CANDIDATES:
        rows = np.sort(rng.choice(rows, _MAX_CANDIDATES, replace=False))
    candidates = [known.problem.grid.configs[row] for row in rows]
    chosen, kernel = sampler.choose_batch(
        known.problem.grid.points[rows],
        _observed(known, informative),
        rng,
        chances=feasibility.chances(known, candidates),
        size=size,
        kernel=kernel,
    )
    return Proposed(Stage.SEARCH, [candidates[index] for index in chosen], kernel)


def expected_speeds(
    known: Explored, configs: list[Config], rng: np.random.Generator
) -> Array | None:
    """Return the scores [m] that the model of the explored trials expects of configurations, and
    those that were measured; `None` if there are none.
    """
    measured = [place for place, (_, score) in enumerate(known.scored) if score is not None]
    if not measured or not configs:
        return None
    posterior = sampler.fit(known.problem.points(configs), _observed(known, measured), rng)
    speeds = posterior.scores
    own = {config_key(trial.config): score for trial, score in known.scored if score is not None}
    return np.array([own.get(config_key(c), s) for c, s in zip(configs, speeds, strict=True)])


def _observed(known: Explored, places: Sequence[int]) -> sampler.Observations:
    """Return what the trials at some places were observed to do."""
    scores = [known.scored[place].score for place in places]
    return sampler.Observations(
        points=known.problem.points_at([known.spots[place] for place in places]),
        scores=np.array([1.0 if score is None else score for score in scores]),
        feasible=np.array([score is not None for score in scores]),
    )


def _dies_of_size(trial: Trial, ran: list[Config]) -> bool:
    """Return whether a death may be of the sizes: a smaller configuration ran, with these words.

    It is then as bad as a limit, which keeps the search away from still larger ones. So is one that
    was killed twice: a machine without memory ends processes, and may not say so.
    """
    return stopping.says_nothing(trial) and any(is_smaller(config, trial.config) for config in ran)


def _says_nothing_of_speed(trial: Trial) -> bool:
    """Return whether the trial is to be left out of the model of speed.

    Device memory has a model of its own; as a low speed, its limit would bend the model of speed on
    the safe side too.
    """
    in_memory = (OutcomeKind.DEVICE_MEMORY, OutcomeKind.EXCLUDED)
    return stopping.says_nothing(trial) or trial.kind in in_memory
