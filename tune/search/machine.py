"""The machine beside the trials: which of them ran while it was clearly slower. Stdlib only, pure.

Between the blocks of a trial a canary tells how fast its CPUs are. They are compared with the best
of this search, on the same host and under the same thread cap. The interval of a trial's own looks
has to lie below that: CPUs that change from moment to moment are what they are on the average.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Sequence

from trainables.machine_speed import MachineSpeed
from tune.search.trial import EXPLORING, Trial

_SLOW_COMPUTE = 0.95
_SLOW_MEMORY = 0.85
"""Shares of the best below which a machine is slower. In quiet, trials differ by less, as the table
of benchmarks.neighbours shows.
"""


def judged(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, with the `machine_share` of those that ran on a slower machine."""
    best: dict[Hashable, tuple[float, float]] = {}
    for trial in trials:
        speed = _speed(trial)
        if speed is not None:
            compute, memory = best.get(_place(trial), (0.0, 0.0))
            best[_place(trial)] = max(compute, speed.compute.low), max(memory, speed.memory.low)
    return [_judged(trial, *best.get(_place(trial), (0.0, 0.0))) for trial in trials]


def slower_text(trials: Iterable[Trial]) -> str:
    """Return beside how many trials the machine was slower, and how slow; empty if none."""
    shares = [trial.machine_share for trial in trials if trial.machine_share is not None]
    if not shares:
        return ""
    low, high = f"{min(shares):.2f}", f"{max(shares):.2f}"
    share = low if low == high else f"{low} to {high}"
    trials_word = "trial" if len(shares) == 1 else "trials"
    return (
        f"the CPUs ran at {share} x of their best beside {len(shares)} {trials_word}, by nothing "
        "that the kernel counts: others on the same host, or heat"
    )


def _judged(trial: Trial, best_compute: float, best_memory: float) -> Trial:
    share, speed = None, _speed(trial)
    if speed is not None:
        if speed.compute.high < _SLOW_COMPUTE * best_compute:
            share = speed.compute.mean / best_compute
        if speed.memory.high < _SLOW_MEMORY * best_memory:
            share = min(share or 1.0, speed.memory.mean / best_memory)
    return (
        trial if share == trial.machine_share else dataclasses.replace(trial, machine_share=share)
    )


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
