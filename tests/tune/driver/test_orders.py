"""The order of the next trial: its GPU, its bound, and its cap by those that had to be halved."""

import dataclasses
import os
from pathlib import Path

import pytest

import factories
from cluster.node import ray_env
from prepared_search import prepared
from simulated_search import machine, make
from trainables.measurement import OutcomeKind
from trainables.ray_trainable import TrialOrder
from tune.driver.hosts.places import LocalPlaces
from tune.driver.orders import Halved, order, thread_cap
from tune.preflight.findings import GpuPlace
from tune.search.effort import FinalsOrder
from tune.search.policy import Search
from tune.search.trial import Stage, Trial


def trial(number: int, num_envs: int, cap: int) -> Trial:
    outcome = factories.outcome(thread_cap=cap, kind=OutcomeKind.COMPLETED)
    return Trial(number=number, stage=Stage.SEARCH, config={"num_envs": num_envs}, outcome=outcome)


@pytest.mark.parametrize(
    ("halved", "here", "elsewhere"),
    [
        ([], 8, 8),
        ([(1, 4)], 4, 8),  # it may be that configuration alone
        ([(1, 4), (1, 2)], 2, 8),
        ([(1, 4), (2, 4)], 4, 4),  # two are the machine
        ([(1, 4), (2, 2)], 2, 2),
        ([(1, 0), (2, 0)], 8, 8),  # lost ones had no cap
    ],
)
def test_a_cap_is_lowered_for_what_needed_it(
    halved: list[tuple[int, int]], here: int, elsewhere: int
) -> None:
    trials = [trial(number, *of) for number, of in enumerate([(9, 8), *halved])]
    assert thread_cap(8, trials, {"num_envs": 1}, on_gpu=True) == here
    assert thread_cap(8, trials, {"num_envs": 5}, on_gpu=True) == elsewhere
    four = {"num_envs": 5, "num_devices": 4}
    assert thread_cap(8, trials, four, on_gpu=True) == 4 * elsewhere
    assert thread_cap(8, trials, four, on_gpu=False) == elsewhere


def test_a_halved_cap_of_several_gpus_is_less_for_each() -> None:
    two = {"num_devices": 2}
    halved = factories.trial(config=two, outcome=factories.outcome(thread_cap=8))
    assert thread_cap(8, [halved], two, on_gpu=True) == 8
    assert thread_cap(8, [halved], {"num_devices": 1}, on_gpu=True) == 8
    other = factories.trial(config={"num_devices": 1}, outcome=factories.outcome(thread_cap=4))
    assert thread_cap(8, [halved, other], {"num_devices": 4}, on_gpu=True) == 16


def test_those_that_were_halved_say_as_much_as_all() -> None:
    halved, trials = Halved(8, on_gpu=True), list[Trial]()
    for number, cap in enumerate([8, 0, 4, 8, 2]):
        trials.append(trial(number, number % 2, cap))
        for config in ({"num_envs": 0}, {"num_envs": 1}, {"num_envs": 2, "num_devices": 2}):
            known = halved.among(trials)
            here = thread_cap(8, known, config, on_gpu=True)
            assert here == thread_cap(8, trials, config, on_gpu=True)
    assert [one.number for one in halved.among(trials)] == [1, 2, 4]


def two_gpus() -> LocalPlaces:
    places = [GpuPlace(name=name, cpus=(0,)) for name in ("0", "1")]
    return LocalPlaces(places, on_gpu=True, note=len)


def ordered(
    folder: Path,
    search: Search,
    asked: Trial,
    places: LocalPlaces,
    *,
    finals: FinalsOrder = "auto",
) -> TrialOrder:
    ready = prepared(folder)
    ready = dataclasses.replace(
        ready,
        spec=dataclasses.replace(ready.spec, finals=finals),
        preflight=dataclasses.replace(ready.preflight, platform="cuda"),
    )
    return order(ready, search, asked, places, Halved(8, on_gpu=True))


def test_a_trial_on_a_slower_gpu_is_not_stopped_for_that(tmp_path: Path) -> None:
    search, places = make(tmp_path, num_parallel=2, num_gpus=2), two_gpus()
    for share in (1.0, 0.92):
        asked = search.ask()
        assert asked is not None
        taken = ordered(tmp_path, search, asked, places).place
        made = machine(asked)
        assert made.measurement is not None
        speed = share * made.measurement.steps_per_second
        measured = dataclasses.replace(made.measurement, steps_per_second=speed)
        made = dataclasses.replace(made, measurement=measured)
        search.tell(asked, places.give_back(taken, made))
    bounds = {}
    for _ in range(2):
        asked = search.ask()
        assert asked is not None
        made_order = ordered(tmp_path, search, asked, places)
        bounds[made_order.place.gpus] = made_order.request.slow_below
    assert bounds["0",] is not None
    assert bounds["1",] == pytest.approx(0.92 * bounds["0",])


@pytest.mark.parametrize(
    ("stage", "finals", "gpu"),
    [
        (Stage.SEARCH, "alone", "1"),  # that ran fewer
        (Stage.FINAL, "alone", "0"),
        (Stage.FINAL, "auto", "0"),
        (Stage.FINAL, "together", "1"),
        (Stage.LEVER, "auto", "0"),
        (Stage.LEVER, "together", "0"),  # a lever and the winner take turns on one
    ],
)
def test_what_is_compared_one_by_one_runs_on_the_first_gpu(
    tmp_path: Path, stage: Stage, finals: FinalsOrder, gpu: str
) -> None:
    places = two_gpus()
    places.give_back(places.take(alone=True), factories.outcome())
    asked = factories.trial(stage=stage, outcome=None)
    made = ordered(tmp_path, make(tmp_path), asked, places, finals=finals)
    assert made.place.gpus == (gpu,)


def test_each_trial_has_temporary_files_of_its_own_among_the_drivers(
    tmp_path: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker that was killed leaves goes with the driver's."""
    monkeypatch.setenv("TMPDIR", str(short_dir))
    search, places = make(tmp_path), two_gpus()
    orders = [ordered(tmp_path, search, trial(number, 8, 8), places) for number in (0, 12)]
    drivers = ray_env.temporary_dir(os.environ)
    assert drivers.is_relative_to(short_dir)
    assert [one.temporary for one in orders] == [f"{drivers}/0", f"{drivers}/12"]
