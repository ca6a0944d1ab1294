"""A measured pair: the baseline alone on a GPU, and beside other trials on the rest. Pure.

Trainings beside each other share the host's CPUs, its memory bus, PCIe and power. The baseline
explores on all GPUs of the host at the same time, and its first final runs alone on one of them.
The two tell whether what is compared may run side by side, too, and what a person gets who trains
several seeds at once.
"""

import dataclasses
import math
from collections.abc import Sequence

from search_spaces.config import Config, config_key
from tune.search.candidates import disqualified
from tune.search.effort import FinalsOrder
from tune.search.gpus import HostGpu, baselines
from tune.search.noise import known_sd_of, within_process
from tune.search.rounds import counted
from tune.search.trial import Stage, Trial

_ALIKE = 0.03
"""The largest log ratio, its interval included, of two speeds that count as equal.

With the known noise of a program on a GPU, the interval takes half of it: a pair that is truly
alike is found so in 98 of 100, one that is truly 3 % apart in 2 of 100. What is no such program
differs more between processes, and no pair of it counts as equal. Judged by the GPU's noise, 25 of
100 alike pairs would, and 21 of 100 that are 3 % apart.
"""

_QUANTILE = 1.96


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The speed of one training beside `num_beside` others, as a share of its speed alone.

    `low` to `high` is its 95 % interval.
    """

    num_beside: int
    ratio: float
    low: float
    high: float

    @property
    def is_alike(self) -> bool:
        """Return whether trials beside each other are as fast as alone."""
        return max(-math.log(self.low), math.log(self.high)) <= _ALIKE


def side_by_side(trials: Sequence[Trial], order: FinalsOrder, baseline: Config) -> bool:
    """Return whether finals and trainings may run beside each other, by what is known now."""
    if order != "auto":
        return order == "together"
    pair = measured_pair(trials, baseline)
    return pair is not None and pair.is_alike


def is_due(trials: Sequence[Trial], baseline: Config) -> bool:
    """Return whether the baseline has explored on several GPUs of this host, and not yet alone."""
    if len(_explored(trials)) < 2 or config_key(baseline) in disqualified(trials):
        return False
    return not _finals(trials, baseline)


def measured_pair(trials: Sequence[Trial], baseline: Config) -> Pair | None:
    """Return the pair, `None` while there is none, or where not all GPUs were in use beside it."""
    explored = _explored(trials)
    alone = next((one for one in _finals(trials, baseline) if one.outcome is not None), None)
    if alone is None or alone.outcome is None or alone.is_disturbed or _beside(trials, alone):
        return None
    if len(explored) < 2:
        return None
    beside = next((one for (_, gpu), one in explored.items() if (gpu,) == alone.outcome.gpus), None)
    if beside is None or (num_beside := len(_beside(trials, beside))) < len(explored) - 1:
        return None
    pair = [one.measurement for one in (beside, alone) if one.measurement is not None]
    if len(pair) < 2:
        return None
    ratio = pair[0].steps_per_second / pair[1].steps_per_second
    of_processes = _QUANTILE * known_sd_of((beside, alone)) * math.sqrt(2.0)
    side = math.hypot(of_processes, *map(within_process, pair))
    return Pair(
        num_beside=num_beside,
        ratio=ratio,
        low=ratio * math.exp(-side),
        high=ratio * math.exp(side),
    )


def _explored(trials: Sequence[Trial]) -> dict[HostGpu, Trial]:
    """Return the trials of the baseline on this host's GPUs."""
    return {gpu: trial for gpu, trial in baselines(trials).items() if gpu[0] is None}


def _finals(trials: Sequence[Trial], baseline: Config) -> list[Trial]:
    return counted(trials, Stage.FINAL, [baseline])[config_key(baseline)]


def _beside(trials: Sequence[Trial], one: Trial) -> set[str]:
    """Return the other GPUs that were in use while this trial was measured."""
    if one.outcome is None or one.measurement is None or one.ended_at is None:
        return set()
    began_at = one.ended_at - one.measurement.measure_s
    return {
        name
        for other in trials
        if other.source is None and other.outcome is not None
        if other.started_at is not None and other.ended_at is not None
        if other.started_at < one.ended_at and other.ended_at > began_at
        for name in other.outcome.gpus
        if name not in one.outcome.gpus
    }
