"""The replay of learning landscapes: what it says is what was recorded."""

import dataclasses
import functools
import math
import statistics

import numpy as np
import pytest

from benchmarks.learning.landscape import (
    RecordedTraining,
    SimulatedTrainings,
    read,
    true_seconds,
)
from benchmarks.learning.record import LANDSCAPES
from benchmarks.learning.searches import LearningRun, run_asha, run_ours
from search_spaces.config import config_key
from trainables.curve import TrainingRequest
from tune.search.objective import Objective

NAMES = [path.stem for path in sorted(LANDSCAPES.glob("*.json"))]
CARTPOLE = read(LANDSCAPES / "cartpole.json")


@functools.cache
def ours(name: str, seed: int) -> LearningRun:
    return run_ours(read(LANDSCAPES / f"{name}.json"), seed, Objective.LEARNING)


@pytest.mark.parametrize("name", NAMES)
def test_a_landscape_is_a_whole_grid_with_a_best_that_learns(name: str) -> None:
    landscape = read(LANDSCAPES / f"{name}.json")
    assert landscape.baseline in [one.config for one in landscape.configs.values()]
    spanned = [tuple(sorted(c.items())) for c in landscape.space.configurations()]
    assert set(spanned) == set(landscape.configs)
    assert 0.0 < landscape.best_s < math.inf
    numbers = {len(one.trainings) for one in landscape.configs.values()}
    assert len(numbers) == 1
    assert min(numbers) >= 3
    assert landscape.times_as_long(None) == math.inf
    best = min(landscape.times_as_long(one.config) for one in landscape.configs.values())
    assert best == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_tells_more_by_its_way_than_by_its_arrival(name: str) -> None:
    to_target, on_the_way = read(LANDSCAPES / f"{name}.json").told_by_a_seed()
    assert 0.5 < to_target < on_the_way - 0.05 < 1.0


@pytest.mark.parametrize(("target", "reached"), [(440.0, True), (501.0, False)])
def test_another_target_makes_another_landscape_if_anything_gets_there(
    target: float, reached: bool
) -> None:
    path = LANDSCAPES / "cartpole.json"
    if not reached:
        with pytest.raises(ValueError, match=r"cartpole\.json gets to 501"):
            read(path, target)
        return
    other = read(path, target)
    assert other.target == target
    assert other.best_s > CARTPOLE.best_s


def test_a_training_is_its_recorded_one_cut_where_the_trainer_ends_it() -> None:
    machine = SimulatedTrainings(CARTPOLE, seed=0)
    config = CARTPOLE.baseline
    recorded = machine.training(config, 0)
    outcome = machine.train(config, TrainingRequest(max_s=1000.0, target=300.0))
    assert outcome.measurement is not None
    curve = outcome.measurement.curve
    assert curve is not None
    assert curve.returns[-1] >= 300.0 > max(curve.returns[:-1])
    assert set(zip(curve.env_steps, curve.returns, strict=True)) <= set(
        zip(recorded.env_steps, recorded.returns, strict=True)
    )
    assert machine.now == pytest.approx(outcome.wall_s)
    short = machine.train(config, TrainingRequest(max_s=0.5))
    assert short.measurement is not None
    assert short.measurement.curve is not None
    assert short.measurement.curve.seconds[-1] <= 0.7


def test_seeds_of_one_search_are_trainings_of_their_own_and_another_search_has_others() -> None:
    machine = SimulatedTrainings(CARTPOLE, seed=0)
    config = CARTPOLE.baseline
    number = len(next(iter(CARTPOLE.configs.values())).trainings)
    drawn = [machine.training(config, seed) for seed in range(number)]
    assert len({one.returns for one in drawn}) == number
    orders = {
        tuple(SimulatedTrainings(CARTPOLE, seed=s).training(config, 0).returns) for s in range(9)
    }
    assert len(orders) > 1


@pytest.mark.parametrize("name", NAMES)
def test_ours_finds_what_learns_fast_and_a_search_of_speed_does_not(name: str) -> None:
    landscape = read(LANDSCAPES / f"{name}.json")
    runs = [ours(name, seed) for seed in range(6)]
    assert sum(landscape.times_as_long(run.picked) <= 1.3 for run in runs) >= 5
    assert statistics.median(run.seconds / run.of_speed_s for run in runs) <= 2.0
    fastest = run_ours(landscape, 0, Objective.THROUGHPUT)
    assert landscape.times_as_long(fastest.picked) > 1.3
    assert fastest.of_speed_s == fastest.seconds


@pytest.mark.parametrize("name", NAMES)
def test_ours_picks_what_learns_sooner_than_asha_with_the_same_seconds(name: str) -> None:
    landscape = read(LANDSCAPES / f"{name}.json")
    found = [ours(name, seed) for seed in range(12)]
    asha = [run_asha(landscape, seed, run.seconds) for seed, run in enumerate(found)]
    mine, theirs = (
        [math.log(landscape.times_as_long(run.picked)) for run in runs] for runs in (found, asha)
    )
    assert sum(mine) < sum(theirs)
    assert sum(a < b for a, b in zip(mine, theirs, strict=True)) > sum(
        a > b for a, b in zip(mine, theirs, strict=True)
    )


def test_asha_gets_the_seconds_that_it_is_given_and_picks_what_it_trained() -> None:
    run = run_asha(CARTPOLE, seed=0, budget_s=100.0)
    assert run.picked is not None
    assert 50.0 <= run.seconds <= 100.0 + 60.0
    assert run_asha(CARTPOLE, seed=0, budget_s=0.0).seconds < 60.0


def test_the_luckiest_of_many_that_learn_as_fast_is_not_taken_for_faster() -> None:
    rng = np.random.default_rng(0)
    configs = {}
    for one in CARTPOLE.configs.values():
        needed = 1000.0 * np.exp(rng.normal(0.0, 0.4, size=6))
        trainings = tuple(
            RecordedTraining(env_steps=(1, int(steps)), returns=(0.0, 1.0)) for steps in needed
        )
        configs[config_key(one.config)] = dataclasses.replace(
            one, steps_per_second=100.0, trainings=trainings
        )
    true_s = true_seconds(configs, target=1.0)
    means = [math.exp(statistics.fmean(one.logs_to(1.0))) for one in configs.values()]
    assert min(means) < 8.0  # and each truly needs 10
    assert 10.0 - min(true_s.values()) < 0.8 * (10.0 - min(means))


def test_trainings_side_by_side_find_as_much_in_a_fraction_of_the_time() -> None:
    one = [ours("cartpole", seed) for seed in range(6)]
    four = [run_ours(CARTPOLE, seed, Objective.LEARNING, num_gpus=4) for seed in range(6)]
    assert sum(CARTPOLE.times_as_long(run.picked) <= 1.3 for run in four) >= 5
    assert sum(run.seconds for run in four) < 0.5 * sum(run.seconds for run in one)
