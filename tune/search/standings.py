"""The standings of a search: the trials that count as tried, each with its score, and the best.

They are asked for at every step, and a trial that has ended changes no more: what was found of it
is kept, until the scores of all have to be read anew.
"""

import dataclasses
import operator
from collections.abc import Sequence

from tune.search import gpus, stopping
from tune.search.objective import Objective, score, typical_noise_scale
from tune.search.trial import EXPLORING, Stage, Trial

_UNMEASURED = -1.0

_COMPARES_GPUS = (Stage.BASELINE, Stage.GPU)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The trials that count, each with its score, `None` if unmeasured; `runs` cost a process.

    `best` is the explored trial with the highest score, if any was measured.
    """

    scored: tuple[tuple[Trial, float | None], ...]
    runs: tuple[tuple[Trial, float | None], ...]
    best: Trial | None


class Standings:
    """The standing of a growing study. `first_number` is that of this session's first trial."""

    def __init__(self, objective: Objective, first_number: int) -> None:
        self.noise_scale: float | None = None
        self._objective = objective
        self._first_number = first_number
        self._relative_speeds: dict[gpus.HostGpu, float] = {}
        self._trials: Sequence[Trial] = ()
        # Of each trial: its pair, if it counts; the same, if it was run; its score, if measured.
        self._counted: list[tuple[Trial, float | None] | None] = []
        self._run: list[tuple[Trial, float | None] | None] = []
        self._measured: list[float] = []
        self._now = Standing(scored=(), runs=(), best=None)

    def learn(self, trials: Sequence[Trial], told: Trial | None = None) -> None:
        """Learn what the scores of all depend on, of all trials or of one that was just told."""
        balanced = self._objective is Objective.BALANCED  # other scores have no use for the scale
        if told is not None and not balanced and told.stage not in _COMPARES_GPUS:
            return
        noise_scale = typical_noise_scale(trials) if balanced else None
        relative_speeds = gpus.relative_speeds(trials)
        if (noise_scale, relative_speeds) != (self.noise_scale, self._relative_speeds):
            self._trials = ()
        self.noise_scale, self._relative_speeds = noise_scale, relative_speeds

    def of(self, trials: Sequence[Trial]) -> Standing:
        """Return the standing; it is the same as long as the very same trials are given."""
        if trials is not self._trials:
            self._renew(trials)
            self._trials = trials
        return self._now

    def score(self, trial: Trial) -> float | None:
        """Return the trial's score by the present gradient noise scale; `None` if unmeasured.

        A trial that was stopped as `slow` was measured, if briefly, and has a score.
        """
        outcome = trial.outcome
        if outcome is None or outcome.measurement is None or not outcome.kind.was_measured:
            return None
        return score(
            self._objective,
            config=trial.config,
            steps_per_second=outcome.measurement.steps_per_second
            / gpus.relative_speed(trial, self._relative_speeds),
            noise_scale=self.noise_scale,
            gpu_utilization=outcome.measurement.gpu_utilization,
        )

    def _renew(self, trials: Sequence[Trial]) -> None:
        same = map(operator.is_, trials, self._trials)
        changed = [place for place, is_same in enumerate(same) if not is_same]
        if any(trials[place].stage in _COMPARES_GPUS for place in changed):
            self.learn(trials)  # a later trial told that the machine was slow beside it
        begun = min(len(self._trials), len(trials))
        if any(stopping.is_lost(trials[place]) for place in (*changed, *range(begun, len(trials)))):
            changed, begun = [], 0  # whether one counts is decided by those that were lost before
        for kept in (self._counted, self._run, self._measured):
            del kept[begun:]
        for trial in trials[begun:]:
            counted, run, measured = self._read(trial, trials)
            self._counted.append(counted)
            self._run.append(run)
            self._measured.append(measured)
        for place in changed:
            found = self._read(trials[place], trials)
            self._counted[place], self._run[place], self._measured[place] = found
        highest = max(self._measured, default=_UNMEASURED)
        self._now = Standing(
            scored=tuple(filter(None, self._counted)),
            runs=tuple(filter(None, self._run)),
            best=None if highest == _UNMEASURED else trials[self._measured.index(highest)],
        )

    def _read(
        self, trial: Trial, trials: Sequence[Trial]
    ) -> tuple[tuple[Trial, float | None] | None, tuple[Trial, float | None] | None, float]:
        if trial.stage not in EXPLORING:
            return None, None, _UNMEASURED
        value = self.score(trial)
        counted = (trial, value) if self._counts(trial, trials) else None
        measured = _UNMEASURED if trial.measurement is None else value or 0.0
        return counted, counted if trial.was_run else None, measured

    def _counts(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Return whether the trial counts as tried.

        One that was lost for once does not, nor a defect of an earlier session, which may have been
        mended.
        """
        if trial.stage is Stage.GPU:
            return False
        mended = stopping.says_nothing(trial) and trial.number < self._first_number
        return not (mended or stopping.is_run_again(trial, trials))
