"""The durations of trials: how long they measure at most, and what they typically take. Pure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from trainables.sampling import Sampling
from tune.search.trial import EXPLORING, Stage, Trial

EXPLORING_SAMPLING = Sampling(max_measure_s=8.0)
FINAL_SAMPLING = Sampling()
"""That of finals, which measure longer than what explores."""

_LONGER_S = FINAL_SAMPLING.max_measure_s - EXPLORING_SAMPLING.max_measure_s


def measured_s(trial: Trial) -> float | None:
    """Return the seconds of a trial that was measured to its end, else `None`."""
    if trial.outcome is None or trial.measurement is None:
        return None
    return trial.outcome.wall_s


def start_s(trial: Trial) -> float | None:
    """Return those of them in which it was not measured: to start, compile, warm up and end."""
    wall_s, measured = measured_s(trial), trial.measurement
    return None if wall_s is None or measured is None else wall_s - measured.measure_s


def as_final_s(trial: Trial) -> float | None:
    """Return the seconds that it would take as a final, if it explored; else its own.

    A final measures on where the speed is not known well enough by the time that exploring has.
    """
    wall_s, measured = measured_s(trial), trial.measurement
    if wall_s is None or measured is None:
        return None
    goes_on = trial.stage in EXPLORING and not measured.converged
    return wall_s + (_LONGER_S if goes_on else 0.0)


def typical_final_s(trials: Sequence[Trial]) -> float:
    """Return the mean seconds of a final so far; before the first, by those of what explored."""
    return _mean_of_finals(trials, as_final_s)


def typical_start_s(trials: Sequence[Trial]) -> float:
    """Return the mean seconds in which a final is not measured, in the same way."""
    return _mean_of_finals(trials, start_s)


def mean_s(trials: Iterable[Trial], of: Callable[[Trial], float | None]) -> float:
    """Return the mean seconds of those that have any; 0.0 before there was one."""
    known = [seconds for seconds in map(of, trials) if seconds is not None]
    return statistics.fmean(known) if known else 0.0


def _mean_of_finals(trials: Sequence[Trial], of: Callable[[Trial], float | None]) -> float:
    finals = [trial for trial in trials if trial.stage in {Stage.FINAL, Stage.LEVER}]
    return mean_s(finals, of) or mean_s([t for t in trials if t.stage in EXPLORING], of)


class Mean:
    """The mean seconds of trials that come, and change, as `mean_s` of all of them, exactly."""

    def __init__(self, of: Callable[[Trial], float | None]) -> None:
        self._of = of
        self._sum, self._count = Fraction(), 0

    @property
    def mean(self) -> float:
        """The mean seconds; 0.0 before there was one."""
        return float(self._sum) / self._count if self._count else 0.0

    def change(self, before: Trial | None, now: Trial | None) -> None:
        """Take a trial in place of what it was; `None` where it does not count."""
        for trial, sign in ((before, -1), (now, 1)):
            seconds = None if trial is None else self._of(trial)
            if seconds is not None:
                self._sum += sign * Fraction(seconds)
                self._count += sign
