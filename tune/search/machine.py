"""The machine beside the trials: which of them ran while it was clearly slower. Stdlib only, pure.

Between the blocks of a trial a canary tells how fast its CPUs are. They are compared with the best
of this search, on the same host and under the same thread cap. On a busy host the canary explains
most of what fresh processes of one configuration differ by: see the table of benchmarks.unseen.
"""

import dataclasses
import math
from collections.abc import Hashable, Iterator, Sequence

from trainables.machine_speed import MachineBest, MachineSpeed
from tune.search.trial import EXPLORING, Trial

_SLOW_COMPUTE = 0.95
_SLOW_MEMORY = 0.9
_SLOW_HANDOFF = 0.9
"""Shares of the best below which a machine is slower, chosen on the tables of benchmarks.unseen,
the last on those of benchmarks.flips.
"""

_SURE_OF_BEST = -2.0
_SURE_OF_SLOWER = 1.0
"""Standard errors of a canary's mean: a best has to be surer than a doubt."""


class Machines:
    """The best that machines reached beside trials, and what it says of each trial."""

    def __init__(self) -> None:
        self._best: dict[Hashable, MachineBest] = {}
        self._spans: dict[int, tuple[float, float]] = {}
        """The beginning and the end of each trial after exploring, by its number."""

    def learn(self, trials: Sequence[Trial]) -> bool:
        """Take trials in, also as they begin; return whether those before are to be judged anew."""
        before = dict(self._best)
        for trial in trials:
            if trial.started_at is not None and trial.stage not in EXPLORING:
                latest = math.inf if trial.outcome is None else trial.started_at
                self._spans[trial.number] = trial.started_at, trial.ended_at or latest
        for trial in trials:
            speed = _speed(trial)
            if speed is not None:
                place = self._place(trial)
                best = self._best.get(place, MachineBest())
                self._best[place] = MachineBest(
                    compute=max(best.compute, speed.compute.bound(_SURE_OF_BEST)),
                    memory=max(best.memory, speed.memory.bound(_SURE_OF_BEST)),
                    handoff=max(
                        best.handoff, speed.handoff.bound(_SURE_OF_BEST) if speed.handoff else 0.0
                    ),
                )
        return self._best != before

    def best(self, thread_cap: int) -> MachineBest:
        """Return the best of this host's CPUs beside trials under a thread cap, which run alone."""
        return self._best.get((None, None, thread_cap, False), MachineBest())

    def judge(self, trial: Trial) -> Trial:
        """Return the trial with its `machine_share`, the very same one where that is right."""
        speed = _speed(trial)
        best = self._best.get(self._place(trial))
        shares = () if speed is None or best is None else _slower(speed, best)
        share = min(shares, default=None)
        if share == trial.machine_share:
            return trial
        return dataclasses.replace(trial, machine_share=share)

    def _place(self, trial: Trial) -> Hashable:
        """Return what must be the same of trials that are compared.

        Where a host has several GPUs, trials explore beside each other, and share its memory bus.
        What is compared runs so, too, or alone.
        """
        if trial.outcome is None:
            return None
        explored = trial.stage in EXPLORING
        beside_others = bool(trial.outcome.gpus) and (explored or self._overlaps(trial))
        return trial.source, trial.outcome.host, trial.outcome.thread_cap, beside_others

    def _overlaps(self, trial: Trial) -> bool:
        """Return whether another one ran at the same time; what ends later has begun before."""
        if trial.number not in self._spans:
            return False
        began_at, ended_at = self._spans[trial.number]
        others = (span for number, span in self._spans.items() if number != trial.number)
        return any(began < ended_at and ended > began_at for began, ended in others)


def _slower(speed: MachineSpeed, best: MachineBest) -> Iterator[float]:
    """Yield the share of the best at which each kind of work clearly ran slower."""
    for one, of_best, share in (
        (speed.compute, best.compute, _SLOW_COMPUTE),
        (speed.memory, best.memory, _SLOW_MEMORY),
        (speed.handoff, best.handoff, _SLOW_HANDOFF),
    ):
        if one is not None and one.bound(_SURE_OF_SLOWER) < share * of_best:
            yield one.mean / of_best


def judged(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, with the `machine_share` of those that ran on a slower machine."""
    machines = Machines()
    machines.learn(trials)
    return [machines.judge(trial) for trial in trials]


def _speed(trial: Trial) -> MachineSpeed | None:
    measured = trial.outcome.measurement if trial.outcome is not None else None
    return None if measured is None else measured.machine_speed
