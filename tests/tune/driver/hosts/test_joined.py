"""A search on a joined cluster: what each of its hosts must have."""

from pathlib import Path
from typing import Any

import pytest

from cluster.node import hardware
from cluster_nodes import Asked, Nodes, install, node
from machines import gpu_host, verdict
from trainables.command.options import FACTORY
from tune.driver.hosts import joined
from tune.preflight.findings import NotFitError, Preflight, PreflightRequest

CARD = verdict(gpu_host())
CLASS = hardware.machine_class(CARD.machine)


def joined_node(name: str, *, places: int = 1) -> dict[str, Any]:
    """A host of the class, as `ray.nodes()` has it."""
    said = node(name, cpus=1, gpus=places)
    said["Resources"][hardware.class_resource(CLASS)] = float(places)
    return said


def searching(monkeypatch: pytest.MonkeyPatch, nodes: Nodes) -> joined.JoinedHosts:
    install(monkeypatch, nodes)
    check = Asked(request=PreflightRequest())
    return joined.checked(joined.classes()[CLASS], check, note=nodes.notes.append)


def test_what_is_compared_runs_on_the_first_host_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([joined_node("b"), joined_node("a")], {"a": CARD, "b": CARD})
    places = searching(monkeypatch, nodes)
    assert places.take(alone=False).nodes == ("id-a", "id-b")
    assert places.take(alone=True).nodes == ("id-b",), "in the order of the search's start"
    assert places.most_gpus == 1
    nodes.said[0]["Alive"] = False
    assert places.look()
    assert places.take(alone=True).nodes == ("id-a",)
    nodes.said[1]["Alive"] = False
    assert not places.look()
    assert places.num_trials == 0, "no trial is handed out"
    assert nodes.notes == ["b left the cluster.", "a left the cluster."]


def test_trial_on_several_gpus_is_compared_on_a_host_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([joined_node("a"), joined_node("b", places=4)], {"a": CARD, "b": CARD})
    places = searching(monkeypatch, nodes)
    assert places.most_gpus == 4
    place = places.take(alone=True, num_gpus=2)
    assert place.nodes == ("id-b",)
    assert place.resources == {"CPU": 0, "GPU": 2, hardware.class_resource(CLASS): 2}
    assert places.take(alone=True).nodes == ("id-b",), "one GPU is compared with two there"


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (CARD, "c joined the cluster: 2 trials at once now."),
        (
            "its code is another one.",
            "c joined the cluster and is left out: its code is another one.",
        ),
        (
            "it has no /bars.csv: copy it.",
            "c joined the cluster and is left out: it has no /bars.csv: copy it.",
        ),
    ],
)
def test_host_that_joins_is_checked_like_those_of_the_start(
    monkeypatch: pytest.MonkeyPatch, answer: Preflight | str, note: str
) -> None:
    nodes = Nodes([joined_node("a")], {"a": CARD, "c": answer})
    places = searching(monkeypatch, nodes)
    nodes.said.append(joined_node("c"))
    nodes.said.append(node("of-another-class", gpus=1))
    assert places.look()
    assert nodes.notes == [note]
    assert ("id-c" in places.take(alone=False).nodes) is (answer == CARD)


def test_host_that_does_not_fit_at_the_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes([joined_node("a"), joined_node("b")], {"a": CARD, "b": "its code is another."})
    with pytest.raises(NotFitError, match="b cannot take part: its code is another"):
        searching(monkeypatch, nodes)


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
