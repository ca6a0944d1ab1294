"""The loss of all hosts of a class, and of those that a waiting trial was meant for."""

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import ray

from cluster.node import nvml
from factories import outcome
from fake_nvml import card, fake_nvml
from trainables.measurement import Outcome, OutcomeKind
from trainables.ray_trainable import Place
from tune.driver.hosts.places import ClassWatch, LocalPlaces, gpu_fault
from tune.preflight.findings import GpuPlace
from tune.search.trial import Trial


@dataclasses.dataclass
class Hosts:
    """Places whose hosts come and go as a test says."""

    num_trials: int = 1
    travelled: None = None
    most_gpus: None = None

    def take(self, *, alone: bool, num_gpus: int = 1) -> Place:
        return Place(resources={"CPU": 1.0})

    def give_back(self, place: Place, outcome: Outcome) -> Outcome:
        return outcome

    def leave_out(self, slow: Mapping[str, float]) -> None:
        raise AssertionError

    def resume(self, trials: Iterable[Trial]) -> None:
        raise AssertionError

    def look(self) -> bool:
        return self.num_trials > 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_class_is_lost_when_its_hosts_stay_away(clock: list[float]) -> None:
    hosts = Hosts()
    watch = ClassWatch(hosts, timeout_s=60)

    def after(seconds: float, places: int) -> bool:
        clock[0] += seconds
        hosts.num_trials = places
        return watch.stop_all()

    assert not after(0, 1)
    assert not after(10, 0)
    assert not after(50, 0)
    assert not after(5, 1), "it came back"
    assert not after(50, 0)
    assert not after(59, 0)
    assert after(2, 0)
    assert watch.is_lost


@pytest.mark.parametrize(
    ("waits_for", "is_lost"),
    [((), False), (("gone", "alive"), False), (("gone",), True), (("never",), True)],
)
def test_trial_that_waits_for_nodes_which_are_gone_ends_the_search(
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    waits_for: tuple[str, ...],
    is_lost: bool,
) -> None:
    nodes: list[dict[str, Any]] = [
        {"NodeID": "alive", "Alive": True},
        {"NodeID": "gone", "Alive": False},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    waiting = [Place(resources={"GPU": 1.0}, nodes=waits_for)]
    watch = ClassWatch(Hosts(), 60, lambda: waiting)
    assert not watch.stop_all()
    clock[0] += 61
    assert watch.stop_all() == is_lost


def gpus_of(*names: str) -> tuple[GpuPlace, ...]:
    return tuple(GpuPlace(name=name, cpus=(number,)) for number, name in enumerate(names))


def local(names: tuple[str, ...] = (), *, on_gpu: bool = True, **faults: str) -> LocalPlaces:
    return LocalPlaces(gpus_of(*names), on_gpu=on_gpu, note=len, fault_of=faults.get)


@pytest.mark.parametrize(
    ("places", "num_trials", "first"),
    [
        (local(on_gpu=False), 1, Place(resources={"CPU": 1.0})),
        (local(), 1, Place(resources={"GPU": 1.0})),
        (local(("2", "3")), 2, Place(resources={"GPU": 1.0}, gpus=("2",), cpus=(0,))),
    ],
)
def test_here_are_as_many_places_as_gpus_or_one(
    places: LocalPlaces, num_trials: int, first: Place
) -> None:
    assert places.num_trials == num_trials
    assert places.take(alone=False) == first
    assert places.num_trials == num_trials


def test_trials_side_by_side_have_gpus_of_their_own_and_alone_the_first() -> None:
    places = local(("a", "b", "c"))
    taken = [places.take(alone=False) for _ in range(3)]
    assert [place.gpus for place in taken] == [("a",), ("b",), ("c",)]
    assert [place.variables for place in taken[:1]] == [{"CUDA_VISIBLE_DEVICES": "a"}]
    places.give_back(taken[1], outcome())
    assert places.take(alone=False) == taken[1]
    for place in taken:
        places.give_back(place, outcome())
    assert places.take(alone=True).gpus == ("a",)


def test_the_next_trial_explores_on_the_gpu_that_ran_the_fewest() -> None:
    """Where the first trials end before the last begin, each GPU runs one all the same."""
    places = local(("0", "1", "2", "3"))
    names = []
    for _ in range(6):
        taken = places.take(alone=False)
        names.append(taken.gpus[0])
        places.give_back(taken, outcome())
    assert names == ["0", "1", "2", "3", "0", "1"]
    assert places.take(alone=True).gpus == ("0",)
    assert places.take(alone=False, num_gpus=3).gpus == ("1", "2", "3")


def test_gpu_that_is_slow_is_left_out_as_soon_as_it_is_free() -> None:
    notes: list[str] = []
    places = LocalPlaces(gpus_of("a", "b", "c"), on_gpu=True, note=notes.append, fault_of={}.get)
    first, second = places.take(alone=False), places.take(alone=False)
    places.leave_out({"a": 0.7, "c": 0.85})
    assert [note.partition(":")[0] for note in notes] == [
        "GPU a ran the baseline at 0.70 x the speed of the others",
        "GPU c ran the baseline at 0.85 x the speed of the others",
    ]
    assert places.num_trials == 2, "a trial still runs on a"
    assert places.give_back(first, outcome()).gpus == ("a",)
    assert places.num_trials == 1
    places.leave_out({"a": 0.7, "c": 0.85})
    assert len(notes) == 2
    places.give_back(second, outcome())
    assert places.take(alone=True) == second


def test_the_last_gpu_stays_however_slow() -> None:
    places = local(("a", "b"))
    places.leave_out({"a": 0.7, "b": 0.7})
    assert places.take(alone=False).gpus == ("a",)


def test_gpu_that_is_lost_costs_its_trial_and_the_others_go_on() -> None:
    notes: list[str] = []
    faults = {"a": "GPU is lost"}
    places = LocalPlaces(gpus_of("a", "b"), on_gpu=True, note=notes.append, fault_of=faults.get)
    first, second = places.take(alone=False), places.take(alone=False)
    died = outcome(kind=OutcomeKind.ERROR, measurement=None, message="CUDA_ERROR_UNKNOWN")
    ended = places.give_back(first, died)
    assert ended.kind is OutcomeKind.NODE_LOST
    assert ended.message == "its GPU a does not answer: GPU is lost"
    assert notes == ["GPU a does not answer (GPU is lost): it is left out."]
    assert places.num_trials == 1
    as_it_died = dataclasses.replace(died, gpus=("b",))
    assert places.give_back(second, died) == as_it_died, "the card answers: it is the training"
    assert places.take(alone=True) == second


def test_one_of_several_gpus_stays_though_all_are_lost() -> None:
    places = LocalPlaces(gpus_of("a", "b"), on_gpu=True, note=len, fault_of=lambda name: "lost")
    died = outcome(kind=OutcomeKind.ERROR, measurement=None)
    assert (
        places.give_back(places.take(alone=False, num_gpus=2), died).kind is OutcomeKind.NODE_LOST
    )
    assert places.most_gpus == 1


def test_on_the_cpu_devices_are_simulated_and_take_one_place() -> None:
    places = local(on_gpu=False)
    assert places.most_gpus is None
    assert places.take(alone=False, num_gpus=4) == Place(resources={"CPU": 1.0})


def test_the_last_gpu_stays_whatever_it_says() -> None:
    """The search then ends as it would with one, and its trials say why."""
    faults = {"a": "GPU is lost", "b": "GPU is lost"}
    places = LocalPlaces(gpus_of("a", "b"), on_gpu=True, note=len, fault_of=faults.get)
    died = outcome(kind=OutcomeKind.ERROR, measurement=None, message="It died.")
    first, second = places.take(alone=False), places.take(alone=False)
    assert places.give_back(first, died).kind is OutcomeKind.NODE_LOST
    said = "It died. (its GPU b does not answer: GPU is lost)"
    assert places.give_back(second, died) == dataclasses.replace(died, gpus=("b",), message=said)
    assert places.take(alone=False) == second


def test_slow_gpus_are_back_when_the_last_other_one_is_lost() -> None:
    notes: list[str] = []
    faults = {"a": "GPU is lost"}
    places = LocalPlaces(
        gpus_of("a", "b", "c"), on_gpu=True, note=notes.append, fault_of=faults.get
    )
    slow = {"b": 0.7, "c": 0.7}
    places.leave_out(slow)
    only = places.take(alone=False)
    assert (only.gpus, places.num_trials) == (("a",), 1)
    died = outcome(kind=OutcomeKind.ERROR, measurement=None)
    ended = places.give_back(only, died)
    assert ended.kind is OutcomeKind.NODE_LOST
    assert ended.message == "its GPU a does not answer: GPU is lost"
    assert notes[2:] == [
        "GPU b is slower, and runs trials again: no other is left.",
        "GPU c is slower, and runs trials again: no other is left.",
        "GPU a does not answer (GPU is lost): it is left out.",
    ]
    side_by_side = [places.take(alone=False).gpus]
    places.leave_out(slow)
    assert places.num_trials == 2, "no other is left beside the one in use either"
    side_by_side.append(places.take(alone=False).gpus)
    assert side_by_side == [("b",), ("c",)]
    assert len(notes) == 5


def test_trial_on_several_gpus_has_all_of_their_cpus_and_loses_one_of_them_alone() -> None:
    notes: list[str] = []
    faults = {"b": "GPU is lost"}
    names = gpus_of("a", "b", "c", "d")
    places = LocalPlaces(names, on_gpu=True, note=notes.append, fault_of=faults.get)
    three = places.take(alone=False, num_gpus=3)
    assert three == Place(resources={"GPU": 3.0}, gpus=("a", "b", "c"), cpus=(0, 1, 2))
    assert three.variables == {"CUDA_VISIBLE_DEVICES": "a,b,c"}
    assert places.take(alone=False).gpus == ("d",)
    died = outcome(kind=OutcomeKind.ERROR, measurement=None)
    ended = places.give_back(three, died)
    assert (ended.kind, ended.message) == (
        OutcomeKind.NODE_LOST,
        "its GPU b does not answer: GPU is lost",
    )
    assert (places.num_trials, places.most_gpus) == (3, 3)
    assert places.take(alone=False, num_gpus=2).gpus == ("a", "c")


def test_a_measured_trial_asks_nobody() -> None:
    places = LocalPlaces(gpus_of("a", "b"), on_gpu=True, note=len, fault_of={"a": "lost"}.get)
    place = places.take(alone=False)
    assert places.give_back(place, outcome()) == outcome(gpus=("a",))
    assert places.num_trials == 2


@pytest.mark.parametrize(
    ("cards", "name", "fault"),
    [
        ([card(), card()], "1", None),
        ([card(), card(errors={"handle": 15})], "1", "GPU is lost"),
        ([card(), card(errors={"handle": 15})], "0", None),
    ],
)
def test_driver_says_why_a_gpu_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, cards: list[Any], name: str, fault: str | None
) -> None:
    monkeypatch.setattr(nvml, "load", lambda: fake_nvml(cards))
    assert gpu_fault(name) == fault
