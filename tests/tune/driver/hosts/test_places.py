"""The loss of all hosts of a class, and of those that a waiting trial was meant for."""

import dataclasses
import time
from typing import Any

import pytest
import ray

from trainables.ray_trainable import Place
from tune.driver.hosts.places import ClassWatch, LocalPlaces


@dataclasses.dataclass
class Hosts:
    """Places whose hosts come and go as a test says."""

    num_trials: int = 1
    travelled: None = None

    def place(self) -> Place:
        return Place(resources={"CPU": 1.0})

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


def test_here_are_as_many_places_as_gpus_or_one() -> None:
    assert [LocalPlaces(num_gpus=n).num_trials for n in (0, 1, 2)] == [1, 1, 2]
    assert LocalPlaces(num_gpus=0).place() == Place(resources={"CPU": 1})
    assert LocalPlaces(num_gpus=2).place() == Place(resources={"GPU": 1})
