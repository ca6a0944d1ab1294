"""The standings of a search: the trials that count as tried, each with its score, and the best.

They are asked for at every step. So they are told each trial as it begins, ends or is judged anew,
and change by that trial alone; all are read again only where the scores of all may differ.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from search_spaces.config import Config, config_key
from tune.search import gpus, stopping
from tune.search.durations import Mean, as_final_s, measured_s, start_s
from tune.search.objective import Objective, score, typical_noise_scale
from tune.search.problem import Spot
from tune.search.trial import EXPLORING, Scored, Stage, Trial

_UNMEASURED = -1.0

_Found = TypeVar("_Found")

_COMPARES_GPUS = (Stage.BASELINE, Stage.GPU)


class Standings:
    """The standing of a growing study. `first_number` is that of this session's first trial."""

    def __init__(
        self,
        objective: Objective,
        first_number: int,
        min_gain: float,
        spot_of: Callable[[Config], Spot] = config_key,
    ) -> None:
        self._objective = objective
        self._spot_of = spot_of
        self._first_number = first_number
        # What the scores of all depend on, the trials that tell it, and whether one of them is new.
        self._noise_scale: float | None = None
        self._relative_speeds: dict[gpus.HostGpu, float] = {}
        self._measured: dict[int, Trial] = {}  # of `balanced` alone: others have no use for it
        self._compared: dict[int, Trial] = {}
        self._is_stale = False
        # By number: all that explored, those of them that do not count as tried, all others.
        self._explored: dict[int, Scored] = {}
        self._uncounted: set[int] = set()
        self._later: dict[int, Trial] = {}
        self._running: dict[int, Stage] = {}
        self._spots: dict[int, Spot] = {}
        # The first trial of each configuration; those that were disturbed, or share one.
        self._first: dict[Spot, int] = {}
        self._doubtful: set[int] = set()
        self._highest: Scored | None = None  # of those that count; `None`: look for it
        self._lost: dict[int, Trial] = {}
        self._best: tuple[float, Trial | None] = (_UNMEASURED, None)
        self._num_runs = self._num_ended = 0
        self._gains = stopping.Gains(min_gain)
        self._run_s, self._explored_s = Mean(measured_s), Mean(measured_s)
        self._final_s, self._start_s = Mean(as_final_s), Mean(start_s)
        self._latest = stopping.Latest()

    def take(self, trial: Trial) -> None:
        """Take in a trial that began, ended, or is judged anew."""
        number = trial.number
        if trial.outcome is None:
            self._running[number] = trial.stage
        else:
            self._running.pop(number, None)
            if number >= self._first_number:
                self._latest.take(trial)
        if trial.stage in _COMPARES_GPUS:
            self._compared[number], self._is_stale = trial, True
        if self._objective is Objective.BALANCED and trial.measurement is not None:
            self._measured[number], self._is_stale = trial, True
        if trial.stage not in EXPLORING:
            self._later[number] = trial
        if stopping.is_lost(trial):
            self._lost[number] = trial
        for one in self._alike(trial):
            if one.stage in EXPLORING:
                self._explore(one)

    @property
    def scored(self) -> tuple[Scored, ...]:
        """The trials that count as tried, by number."""
        self._settle()
        return self._counted(self._explored)

    @property
    def spots(self) -> tuple[Spot, ...]:
        """The spot of each of them."""
        return self._counted(self._spots)

    @property
    def doubtful(self) -> tuple[Scored, ...]:
        """Those that were disturbed or repeated, and the best; none if none was disturbed."""
        self._settle()
        numbers = self._doubtful - self._uncounted
        if not any(self._explored[number].trial.is_disturbed for number in numbers):
            return ()
        if self._highest is None:
            self._highest = max(self.scored, key=_value)
        numbers.add(self._highest.trial.number)
        return tuple(self._explored[number] for number in sorted(numbers))

    @property
    def runs(self) -> tuple[Scored, ...]:
        """Those of them that cost a process."""
        return tuple(one for one in self.scored if one.trial.was_run)

    @property
    def exploring(self) -> stopping.Exploring:
        """The state of exploring."""
        self._settle()
        if self._gains.is_stale:
            self._gains.count(self.runs)
        return stopping.Exploring(
            num_runs=self._num_runs,
            num_ended=self._num_ended,
            num_waited=self._gains.num_waited,
            run_s=self._run_s.mean,
            explored_s=self._explored_s.mean,
            final_s=self._final_s.mean,
            start_s=self._start_s.mean,
        )

    @property
    def running(self) -> Collection[Stage]:
        """The stages of the trials that have not ended."""
        return self._running.values()

    @property
    def later(self) -> Sequence[Trial]:
        """The trials that do not explore."""
        return tuple(self._later.values())

    @property
    def best(self) -> Trial | None:
        """The explored trial with the highest score, if any was measured."""
        self._settle()
        return self._best[1]

    @property
    def noise_scale(self) -> float | None:
        """The typical gradient noise scale, where scores depend on it."""
        self._settle()
        return self._noise_scale

    @property
    def compared(self) -> Sequence[Trial]:
        """The trials that compare GPUs."""
        return tuple(self._compared.values())

    @property
    def latest(self) -> Sequence[Trial]:
        """The trials of this session by which it is known whether any can run."""
        return self._latest.trials

    def is_run_again(self, trial: Trial) -> bool:
        """Return whether a lost trial is no trial at all, as `stopping.is_run_again`."""
        return stopping.is_run_again(trial, tuple(self._lost.values()))

    def score(self, trial: Trial) -> float | None:
        """Return the trial's score by the present gradient noise scale; `None` if unmeasured.

        A trial that was stopped as `slow` was measured, if briefly, and has a score.
        """
        self._settle()
        return self._score(trial)

    def relative_speed(self, names: Iterable[str]) -> float:
        """Return the relative speed of the slowest of these GPUs of this host."""
        self._settle()
        return gpus.slowest_of(names, self._relative_speeds)

    def _score(self, trial: Trial) -> float | None:
        outcome = trial.outcome
        if outcome is None or outcome.measurement is None or not outcome.kind.was_measured:
            return None
        return score(
            self._objective,
            config=trial.config,
            steps_per_second=outcome.measurement.steps_per_second
            / gpus.relative_speed(trial, self._relative_speeds),
            noise_scale=self._noise_scale,
            gpu_utilization=outcome.measurement.gpu_utilization,
        )

    def _settle(self) -> None:
        """Learn what the scores of all depend on, and read all anew where that is something else.

        Of `balanced`, that is so after most trials.
        """
        if not self._is_stale:
            return
        self._is_stale = False
        balanced = self._objective is Objective.BALANCED
        noise_scale = typical_noise_scale(self._measured.values()) if balanced else None
        relative_speeds = gpus.relative_speeds(self._compared.values())
        if (noise_scale, relative_speeds) == (self._noise_scale, self._relative_speeds):
            return
        self._noise_scale, self._relative_speeds = noise_scale, relative_speeds
        for number, (trial, _) in self._explored.items():
            self._explored[number] = Scored(trial, self._score(trial))
        self._best = self._find_best()
        self._gains.is_stale, self._highest = True, None

    def _counted(self, found: Mapping[int, _Found]) -> tuple[_Found, ...]:
        if not self._uncounted:
            return tuple(found.values())
        return tuple(one for number, one in found.items() if number not in self._uncounted)

    def _explore(self, trial: Trial) -> None:
        number, before = trial.number, self._run_of(trial.number)
        known = self._explored.get(number)
        scored = self._explored[number] = Scored(trial, self._score(trial))
        (self._uncounted.discard if self._counts(trial) else self._uncounted.add)(number)
        if number not in self._spots:
            self._spots[number] = self._spot_of(trial.config)
        first = self._first.setdefault(self._spots[number], number)
        if first != number or trial.is_disturbed:
            self._doubtful |= {first, number}
        run = self._run_of(number)
        for one, sign in ((before, -1), (run, 1)):
            if one is not None:
                self._num_runs += sign
                self._num_ended += sign * (one.trial.outcome is not None)
        self._run_s.change(before and before.trial, run and run.trial)
        for mean in (self._explored_s, self._final_s, self._start_s):
            mean.change(known and known.trial, trial)
        self._gains.change(before, run)
        if self._highest is not None and self._highest.trial.number == number:
            self._highest = None
        elif self._highest is not None and number not in self._uncounted:
            self._highest = max(self._highest, scored, key=_value)
        most, best = self._best
        measured = _measured(scored)
        if best is not None and best.number == number:
            self._best = self._find_best()
        elif measured > most or (measured == most and best is not None and number < best.number):
            self._best = measured, trial

    def _find_best(self) -> tuple[float, Trial | None]:
        found = max(self._explored.values(), key=_measured)  # the first of them
        most = _measured(found)
        return most, None if most == _UNMEASURED else found.trial

    def _run_of(self, number: int) -> Scored | None:
        """Return the trial with its score, if it counts as tried and cost a process."""
        found = None if number in self._uncounted else self._explored.get(number)
        return found if found is not None and found.trial.was_run else None

    def _alike(self, trial: Trial) -> Sequence[Trial]:
        """Return the trial; of one that was lost also the others of its configuration: which of
        them counts is decided by which was the first.
        """
        if not stopping.is_lost(trial):
            return (trial,)
        key = config_key(trial.config)
        return [one for one in self._lost.values() if config_key(one.config) == key]

    def _counts(self, trial: Trial) -> bool:
        """Return whether the trial counts as tried.

        One that was lost for once does not, nor a defect of an earlier session, which may have been
        mended.
        """
        if trial.stage is Stage.GPU:
            return False
        mended = stopping.says_nothing(trial) and trial.number < self._first_number
        return not (mended or self.is_run_again(trial))


def _value(scored: Scored) -> float:
    return 0.0 if scored.score is None else scored.score


def _measured(scored: Scored) -> float:
    return _UNMEASURED if scored.trial.measurement is None else scored.score or 0.0
