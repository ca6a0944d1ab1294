"""Alarms beside nobody: which of them were false, and what a canary's thresholds would tell.

A trial is compared with what its configuration typically ran in the same sitting, undisturbed: the
machine itself is another one from day to day.
"""

import datetime
import itertools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.markdown import row
from benchmarks.truth.runs import MeasuredTrial, RealRun, read

_SLOW, _FAST = 0.95, 0.97
"""Shares of the typical speed: below the first an alarm is true, from the second on it is false."""

_THRESHOLDS = (0.85, 0.88, 0.9, 0.95)
_SITTING = datetime.timedelta(hours=1)


def sittings(runs: Sequence[RealRun]) -> Iterator[list[RealRun]]:
    """Yield the searches that were recorded one soon after the other."""
    times = [datetime.datetime.fromisoformat(run.recorded_at) for run in runs]
    starts = [0, *(n for n, (a, b) in enumerate(itertools.pairwise(times), 1) if b - a > _SITTING)]
    for start, end in itertools.pairwise([*starts, len(runs)]):
        yield list(runs[start:end])


def shares(runs: Sequence[RealRun]) -> list[tuple[MeasuredTrial, RealRun, float]]:
    """Return the trials of searches beside nobody, with their share of the typical speed.

    Left out is what was never measured undisturbed in its sitting.
    """
    found = []
    for sitting in sittings(runs):
        undisturbed: dict[tuple[str, tuple[int, ...]], list[float]] = {}
        for run, trial in _trials(sitting):
            if not (trial.is_alarm or trial.num_disturbed_blocks):
                undisturbed.setdefault(_key(run, trial), []).append(trial.steps_per_second)
        for run, trial in _trials(sitting):
            typical = undisturbed.get(_key(run, trial))
            if run.neighbour == "none" and typical is not None:
                share = trial.steps_per_second / statistics.median(typical)
                found.append((trial, run, share))
    return found


def show(path: Path) -> None:
    """Print what the alarms were worth, as recorded, and by the canary's sweep of memory alone."""
    runs = read(path)
    known = shares(runs)
    print(row(("alarm", "trials", "told", "of them slow", "false", "slow, but not told")))
    print(row(("---", *["---:"] * 5)))
    print(_cells("as recorded", [(share, trial.is_alarm) for trial, _, share in known]))
    best = {id(run): _best_memory(run) for _, run, _ in known}
    swept = [
        (share, trial.machine_speed.memory, best[id(run)])
        for trial, run, share in known
        if trial.machine_speed is not None and not trial.disturbed
    ]
    for threshold in _THRESHOLDS:
        told = [(share, memory.bound(1.0) < threshold * most) for share, memory, most in swept]
        print(_cells(f"memory below {threshold:g}", told))
    print(f"\n{_costs(runs, [trial for trial, _, share in known if is_false(trial, share)])}")


def is_false(trial: MeasuredTrial, share: float) -> bool:
    """Return whether a trial that ran at this share of its typical speed is a false alarm."""
    return trial.is_alarm and share >= _FAST


def _costs(runs: Sequence[RealRun], false: Sequence[MeasuredTrial]) -> str:
    """Return what looks and false alarms cost beside nobody: each of these at most a trial more.

    Only of searches whose looks were timed.
    """
    timed = [run for run in runs if run.neighbour == "none" and run.look_s is not None]
    wall_s = sum(run.wall_s for run in timed)
    if not wall_s:
        return "No look was timed."
    looks_s = again_s = 0.0
    for run in timed:
        for trial in run.trials:
            num_looks = 1 + (trial.num_blocks or 0) + trial.num_disturbed_blocks
            looks_s += (run.look_s or 0.0) * num_looks
            again_s += (trial.wall_s or 0.0) * any(trial is one for one in false)
    return (
        f"Beside nobody, {len(timed)} searches of {wall_s:.0f} s: looks took "
        f"{looks_s / wall_s:.1%}, and trials after false alarms {again_s / wall_s:.1%} at most."
    )


def _trials(runs: Sequence[RealRun]) -> Iterator[tuple[RealRun, MeasuredTrial]]:
    return ((run, trial) for run in runs for trial in run.trials)


def _key(run: RealRun, trial: MeasuredTrial) -> tuple[str, tuple[int, ...]]:
    return run.task, tuple(trial.config.values())


def _best_memory(run: RealRun) -> float:
    """Return the best of a search, as `tune.search.machine` takes it."""
    speeds = [trial.machine_speed for trial in run.trials]
    return max((one.memory.bound(-2.0) for one in speeds if one is not None), default=0.0)


def _cells(name: str, known: Sequence[tuple[float, bool]]) -> str:
    told = [share for share, is_told in known if is_told]
    missed = sum(share < _SLOW for share, is_told in known if not is_told)
    slow, false = sum(share < _SLOW for share in told), sum(share >= _FAST for share in told)
    counts = (len(known), len(told), slow, false, missed)
    return row((name, *map(str, counts)))
