"""The standing that is kept while a study grows is the one that is read anew from all trials."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from factories import measurement, outcome, trial
from search_spaces.config import config_key
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import OutcomeKind
from tune.search import explore, gpus, stopping
from tune.search.durations import as_final_s, mean_s, measured_s, start_s
from tune.search.objective import Objective, score, typical_noise_scale
from tune.search.problem import Explored, SearchProblem
from tune.search.standings import Standings
from tune.search.trial import EXPLORING, Scored, Stage, Trial

FIRST, MIN_GAIN = 3, 0.02
KINDS = (
    OutcomeKind.COMPLETED,
    OutcomeKind.COMPLETED,
    OutcomeKind.SLOW,
    OutcomeKind.DEVICE_MEMORY,
    OutcomeKind.EXCLUDED,
    OutcomeKind.ERROR,
    OutcomeKind.NODE_LOST,
    OutcomeKind.NODE_LOST,
)
STAGES = (Stage.SEARCH, Stage.SEARCH, Stage.SEARCH, Stage.GPU, Stage.FINAL, Stage.LEVER)
SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=tuple(range(1, 20))),
        Axis(name="num_steps", values=(8,)),
        Axis(name="batch_size", values=(1,)),
    )
)
PROBLEM = SearchProblem(
    space=SPACE,
    baseline={"num_envs": 1, "num_steps": 8, "batch_size": 1},
    device_budget_bytes=None,
)


def ended(one: Trial, rng: np.random.Generator) -> Trial:
    kind = KINDS[rng.integers(len(KINDS))]
    measured = measurement(
        steps_per_second=float(rng.integers(1, 40)),
        disturbed=bool(rng.random() < 0.3),
        health={"gradient_noise_scale": float(rng.integers(1, 9))},
    )
    return dataclasses.replace(
        one,
        outcome=outcome(
            kind=kind,
            measurement=measured if kind.was_measured else None,
            wall_s=float(rng.uniform(1.0, 9.0)),
            gpus=(f"{rng.integers(2)}",),
            ends_search=bool(rng.random() < 0.01),
        ),
    )


class Anew:
    """The standing by its definition: everything is read from all trials."""

    def __init__(self, objective: Objective, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self._objective = objective
        balanced = objective is Objective.BALANCED
        self._noise_scale = typical_noise_scale(trials) if balanced else None
        self._relative_speeds = gpus.relative_speeds(trials)
        self.explored = [Scored(one, self._score(one)) for one in trials if one.stage in EXPLORING]
        self.scored = tuple(one for one in self.explored if self._counts(one.trial))
        self.runs = tuple(one for one in self.scored if one.trial.was_run)

    def _score(self, one: Trial) -> float | None:
        if one.outcome is None or one.outcome.measurement is None:
            return None
        return score(
            self._objective,
            config=one.config,
            steps_per_second=one.outcome.measurement.steps_per_second
            / gpus.relative_speed(one, self._relative_speeds),
            noise_scale=self._noise_scale,
            gpu_utilization=one.outcome.measurement.gpu_utilization,
        )

    def _counts(self, one: Trial) -> bool:
        mended = stopping.says_nothing(one) and one.number < FIRST
        again = stopping.is_run_again(one, self.trials)
        return one.stage is not Stage.GPU and not mended and not again

    @property
    def best(self) -> Trial | None:
        measured = [one for one in self.explored if one[0].measurement is not None]
        return max(measured, key=lambda one: one[1] or 0.0, default=(None, None))[0]

    @property
    def exploring(self) -> stopping.Exploring:
        best, waited = 0.0, 0
        for one, value in self.runs:
            if value is not None and value > best * (1.0 + MIN_GAIN):
                best, waited = value, 0
            elif one.stage is Stage.SEARCH and one.outcome is not None:
                waited += 1
        return stopping.Exploring(
            num_runs=len(self.runs),
            num_ended=sum(one.outcome is not None for one, _ in self.runs),
            num_waited=waited,
            run_s=mean_s((one for one, _ in self.runs), measured_s),
            explored_s=mean_s((one for one, _ in self.explored), measured_s),
            final_s=mean_s((one for one, _ in self.explored), as_final_s),
            start_s=mean_s((one for one, _ in self.explored), start_s),
        )


def known(scored: tuple[Scored, ...]) -> Explored:
    return Explored(problem=PROBLEM, min_gain=MIN_GAIN, scored=scored)


def standings(objective: Objective = Objective.THROUGHPUT, *trials: Trial) -> Standings:
    made = Standings(objective, FIRST, MIN_GAIN, PROBLEM.spot)
    for one in trials:
        made.take(one)
    return made


def assert_same(kept: Standings, objective: Objective, trials: Sequence[Trial]) -> None:
    anew = Anew(objective, trials)
    assert (kept.scored, kept.runs, kept.best) == (anew.scored, anew.runs, anew.best)
    assert kept.exploring == anew.exploring
    assert kept.spots == tuple(PROBLEM.spot(one.config) for one, _ in anew.scored)
    assert sorted(kept.running) == sorted(one.stage for one in trials if one.outcome is None)
    assert list(kept.later) == [one for one in trials if one.stage not in EXPLORING]
    assert gpus.slow(kept.compared) == gpus.slow(trials)
    session = [one for one in trials if one.number >= FIRST]
    for num_parallel in (1, 3):
        broken = stopping.is_broken(session, num_parallel=num_parallel)
        assert stopping.is_broken(kept.latest, num_parallel=num_parallel) == broken
    assert explore.revisit(known(kept.doubtful)) == explore.revisit(known(anew.scored))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", [Objective.THROUGHPUT, Objective.BALANCED])
def test_what_is_kept_is_what_would_be_read_anew(objective: Objective, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept, trials, running = standings(objective), list[Trial](), list[int]()
    for _ in range(300):
        if running and rng.random() < 0.6:
            place = running.pop(rng.integers(len(running)))
            trials[place] = ended(trials[place], rng)
        elif rng.random() < 0.2:  # a later trial tells that one ran beside a slower machine
            told = [place for place, one in enumerate(trials) if one.measurement is not None]
            if not told:
                continue
            place = told[rng.integers(len(told))]
            trials[place] = dataclasses.replace(trials[place], machine_share=0.8)
        else:
            stage = STAGES[rng.integers(len(STAGES))]
            config = {"num_envs": int(rng.integers(1, 25)), "num_steps": 8, "batch_size": 1}
            place = len(trials)
            running.append(place)
            trials.append(trial(number=place, stage=stage, config=config, outcome=None))
        kept.take(trials[place])
        assert_same(kept, objective, trials)
    resumed = standings(objective, *trials)
    assert_same(resumed, objective, trials)


def test_the_first_of_the_best_is_the_best() -> None:
    trials = [
        trial(number=n, outcome=outcome(measurement=measurement(steps_per_second=speed)))
        for n, speed in enumerate((1.0, 5.0, 5.0, 2.0))
    ]
    for order in (trials, trials[::-1]):
        assert standings(Objective.THROUGHPUT, *order).best is trials[1]


def test_nothing_is_best_before_anything_was_measured() -> None:
    kept = standings(Objective.THROUGHPUT, trial(number=0, outcome=None))
    assert (kept.best, kept.exploring.num_runs) == (None, 1)


def test_a_configuration_beside_the_grid_has_its_key_for_a_spot() -> None:
    beside = {"num_envs": 99, "num_steps": 8, "batch_size": 1}
    kept = standings(Objective.THROUGHPUT, trial(number=0, config=beside))
    assert kept.spots == (config_key(beside),)
