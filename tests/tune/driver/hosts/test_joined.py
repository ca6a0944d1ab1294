"""A search on a joined cluster: what each of its hosts must have."""

from pathlib import Path

import pytest
import ray

from cluster.join.hardware_class import HardwareClass
from trainables.command.options import FACTORY
from tune.driver.hosts import joined
from tune.driver.hosts.joined import JoinedPlaces


def test_what_is_compared_runs_on_the_first_host_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive = {"1": True, "2": True, "3": True}
    said = lambda: [{"NodeID": n, "Alive": on} for n, on in reversed(alive.items())]  # noqa: E731
    monkeypatch.setattr(ray, "nodes", said)
    hosts = (("2", "10.0.0.2", 1), ("1", "10.0.0.1", 1))
    places = JoinedPlaces(HardwareClass(name="l4", hosts=hosts, uses_gpu=True))
    assert places.take(alone=False).nodes == ()
    assert places.take(alone=True).nodes == ("2",), "in the order of the search's start"
    assert places.most_gpus == 1
    alive["2"] = False
    assert places.take(alone=True).nodes == ("1",)
    alive["1"] = False
    assert places.take(alone=True).nodes == (), "on one that joined later"


def test_trial_on_several_gpus_is_compared_on_a_host_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": n, "Alive": True} for n in "12"])
    hosts = (("1", "10.0.0.1", 1), ("2", "10.0.0.2", 4))
    places = JoinedPlaces(HardwareClass(name="l4", hosts=hosts, uses_gpu=True))
    assert places.most_gpus == 4
    place = places.take(alone=True, num_gpus=2)
    assert place.nodes == ("2",)
    assert place.resources == {"CPU": 0, "GPU": 2, "class:l4": 2}
    assert places.take(alone=True).nodes == ("2",), "one GPU is compared with two there"


def test_file_that_the_workload_was_told_of_is_looked_for_on_every_host(tmp_path: Path) -> None:
    from factories import task

    bars = tmp_path / "bars.csv"
    bars.touch()
    options = {"data": str(bars), "seed": 0, "mode": "fast", "gone": str(tmp_path / "gone")}
    assert joined.files_of(task(options=options)) == (str(bars),)
    options = {"llm": str(tmp_path), "mode": "fast"}
    assert joined.folders_of(task(options=options)) == (str(tmp_path),)
    to = {"arguments": ["python", "train.py", "--out", str(tmp_path)]}
    assert joined.folders_of(task(workload=FACTORY, options=to)) == (), "it may write there"
    command = {"arguments": ["python", str(bars), "{num_envs}", "train.py"]}
    assert joined.files_of(task(options=command)) == (str(bars),)
