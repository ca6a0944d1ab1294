"""The machine beside the trials: which of them ran while it was clearly slower. Stdlib only, pure.

Between the blocks of a trial a canary tells how fast its CPUs are. They are compared with the best
of this search, on the same host and under the same thread cap. On a busy host the canary explains
most of what fresh processes of one configuration differ by: see the table of benchmarks.unseen.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Sequence

from trainables.machine_speed import MachineSpeed
from tune.search.trial import EXPLORING, Trial

_SLOW_COMPUTE = 0.95
_SLOW_MEMORY = 0.9
"""Shares of the best below which a machine is slower, chosen on the table of benchmarks.unseen."""

_SURE_OF_BEST = -2.0
_SURE_OF_SLOWER = 1.0
"""Standard errors of a canary's mean: a best has to be surer than a doubt."""


class Machines:
    """The best that machines reached beside trials, and what it says of each trial."""

    def __init__(self) -> None:
        self._best: dict[Hashable, tuple[float, float]] = {}

    def learn(self, trials: Iterable[Trial]) -> bool:
        """Take trials in; return whether those before have to be judged anew."""
        before = dict(self._best)
        for trial in trials:
            speed = _speed(trial)
            if speed is not None:
                compute, memory = self._best.get(_place(trial), (0.0, 0.0))
                self._best[_place(trial)] = (
                    max(compute, speed.compute.bound(_SURE_OF_BEST)),
                    max(memory, speed.memory.bound(_SURE_OF_BEST)),
                )
        return self._best != before

    def judge(self, trial: Trial) -> Trial:
        """Return the trial with its `machine_share`, the very same one where that is right."""
        share, speed = None, _speed(trial)
        if speed is not None:
            compute, memory = self._best[_place(trial)]
            if speed.compute.bound(_SURE_OF_SLOWER) < _SLOW_COMPUTE * compute:
                share = speed.compute.mean / compute
            if speed.memory.bound(_SURE_OF_SLOWER) < _SLOW_MEMORY * memory:
                share = min(share or 1.0, speed.memory.mean / memory)
        if share == trial.machine_share:
            return trial
        return dataclasses.replace(trial, machine_share=share)


def judged(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, with the `machine_share` of those that ran on a slower machine."""
    machines = Machines()
    machines.learn(trials)
    return [machines.judge(trial) for trial in trials]


def _speed(trial: Trial) -> MachineSpeed | None:
    measured = trial.outcome.measurement if trial.outcome is not None else None
    return None if measured is None else measured.machine_speed


def _place(trial: Trial) -> Hashable:
    """Return what must be the same of trials that are compared.

    Where a host has several GPUs, trials explore beside each other, and share its memory bus.
    """
    if trial.outcome is None:
        return None
    beside_others = bool(trial.outcome.gpus) and trial.stage in EXPLORING
    return trial.source, trial.outcome.thread_cap, beside_others
