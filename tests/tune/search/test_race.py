"""The race of the finals: who is beaten, who may win, and who is of interest all the same."""

import dataclasses

import pytest

from finals_trials import config, died, measured
from search_spaces.config import Config, ConfigKey, config_key
from tune.search import finals
from tune.search.finals import FinalsPlan
from tune.search.objective import Objective
from tune.search.race import Race, race_of
from tune.search.trial import Stage, Trial

BASELINE = config(1)


def final(num_envs: int, speed: float, *, gpu: bool = False, disturbed: bool = False) -> Trial:
    """A final. A GPU's allocator counts, and its processes differ by half a percent."""
    num_bytes = 100 + num_envs
    return measured(
        num_envs,
        speed,
        stage=Stage.FINAL,
        device_bytes=num_bytes,
        peak_device_bytes=num_bytes if gpu else None,
        disturbed=disturbed,
    )


def race(*trials: Trial, num_rounds: int = 1) -> Race:
    leaders = [config(4), config(8), config(2), BASELINE]
    return race_of(trials, leaders, Objective.THROUGHPUT, BASELINE, num_rounds=num_rounds)


def num_envs(configs: list[Config]) -> list[int]:
    return [one["num_envs"] for one in configs]


def keys(*sizes: int) -> frozenset[ConfigKey]:
    return frozenset(config_key(config(size)) for size in sizes)


def test_before_the_first_final_all_run() -> None:
    found = race(measured(4, 400.0))
    assert num_envs(found.running) == [4, 8, 2, 1]
    assert found.rivals == []
    assert found.needed == keys(4, 1)


@pytest.mark.parametrize(
    ("speeds", "needed"),
    [
        ({4: 400.0}, (4, 1)),
        ({4: 400.0, 8: 300.0, 1: 100.0}, (4, 1)),
        ({4: 300.0, 8: 400.0, 1: 100.0}, (8, 1)),  # the fastest by the finals is promised
        ({4: 300.0, 8: 300.0, 1: 400.0}, (1, 4)),  # the baseline is compared with something
    ],
)
def test_the_best_and_the_baseline_are_needed(
    speeds: dict[int, float], needed: tuple[int, ...]
) -> None:
    found = race(*(final(n, speed) for n, speed in speeds.items()), num_rounds=2)
    assert found.needed == keys(*needed)


@pytest.mark.parametrize(
    ("speeds", "gpu", "running", "rivals"),
    [
        # On a CPU two processes of one configuration differ by 3.5 %: 5 % more is the difference.
        ({4: 400.0, 8: 390.0, 2: 300.0}, False, [4, 8, 1], [4, 8, 1]),
        ({4: 400.0, 8: 370.0, 2: 390.0}, False, [4, 2, 1], [4, 2, 1]),
        ({4: 400.0, 8: 300.0, 2: 300.0}, False, [4, 1], []),
        # The fastest was not first, and what did not run yet runs.
        ({4: 300.0, 8: 400.0}, False, [8, 2, 1], []),
        # On a GPU half a percent is seen, and within one percent all are tied.
        ({4: 400.0, 8: 398.0, 2: 370.0}, True, [4, 1], []),
    ],
)
def test_what_is_beaten_by_more_than_noise_runs_no_more(
    speeds: dict[int, float], gpu: bool, running: list[int], rivals: list[int]
) -> None:
    found = race(*(final(n, speed, gpu=gpu) for n, speed in {1: 100.0, **speeds}.items()))
    assert num_envs(found.running) == running
    assert num_envs(found.rivals) == rivals


def test_one_that_was_beaten_is_back_once_the_best_is_slower() -> None:
    first = (final(4, 400.0), final(8, 340.0), final(1, 100.0), final(1, 100.0))
    assert 8 not in num_envs(race(*first).running)
    found = race(*first, final(4, 300.0))
    assert 8 in num_envs(found.running)
    assert num_envs(found.rivals) == [4, 8, 1]


@pytest.mark.parametrize(
    ("disturbed", "rivals"),
    [
        ([], []),
        ([4], [4, 1]),
        ([1], [4, 1]),
        # It looks beaten, and nobody knows: all that was measured of it was disturbed.
        ([8, 8], [4, 8, 1]),
        # Beaten by an undisturbed final.
        ([8], []),
    ],
)
def test_what_was_disturbed_is_made_up_for_where_it_matters(
    disturbed: list[int], rivals: list[int]
) -> None:
    left, finals_run = list(disturbed), [measured(n, 100.0 * n) for n in (4, 8, 1)]
    for n, speed in [(4, 400.0), (8, 300.0), (1, 100.0)] * 2:
        is_disturbed = n in left
        if is_disturbed:
            left.remove(n)
        finals_run.append(final(n, speed, disturbed=is_disturbed))
    assert num_envs(race(*finals_run, num_rounds=2).rivals) == rivals


def test_a_baseline_that_died_in_its_final_is_not_waited_for() -> None:
    ran = [final(4, 400.0), final(8, 300.0), died(1, Stage.FINAL), final(4, 400.0)]
    assert race(*ran, num_rounds=2).rivals == []


def test_a_final_that_still_runs_is_not_missed() -> None:
    ran = [final(n, speed) for n, speed in {4: 400.0, 8: 300.0, 1: 100.0}.items()]
    running = [dataclasses.replace(trial, outcome=None) for trial in (ran[0], ran[2])]
    assert race(*ran, *running, num_rounds=2).rivals == []
    assert num_envs(race(*ran, *running, num_rounds=3).rivals) == [4, 1]


def test_the_best_of_another_kind_runs_on_though_it_is_beaten() -> None:
    lean = [final(n, speed, gpu=True) for n, speed in {4: 400.0, 2: 385.0, 1: 100.0}.items()]
    assert num_envs(race(*lean).running) == [4, 8, 2, 1]  # within 5 %, for less memory
    assert num_envs(race(*lean).rivals) == []


def test_the_best_on_each_number_of_gpus_runs_on_though_it_is_beaten() -> None:
    def on(number: int, of: int, speed: float) -> Trial:
        sizes = {"num_envs": of, "num_devices": number}
        return dataclasses.replace(final(of, speed), config=sizes)

    trials = [on(2, 4, 400.0), on(2, 8, 200.0), on(1, 4, 210.0), on(1, 1, 100.0)]
    leaders = [trial.config for trial in trials]
    found = race_of(trials, leaders, Objective.THROUGHPUT, leaders[-1], num_rounds=1)
    assert found.running == [leaders[0], leaders[2], leaders[3]]


def test_what_wins_by_learning_is_in_no_race() -> None:
    learner, trials, ran = config(2), [measured(n, 100.0 * n) for n in (1, 2, 4)], []
    plan = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=0)
    while (
        step := finals.next_step(trials, plan, Objective.LEARNING, BASELINE, learner=learner)
    ) is not None:
        ran.append(step[1]["num_envs"])
        trials.append(final(step[1]["num_envs"], 100.0 * step[1]["num_envs"]))
    assert ran == [2, 4, 1, 1, 4, 2]
