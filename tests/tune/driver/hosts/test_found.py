"""Hosts that leave and join while a search runs."""

import dataclasses

import pytest

from cluster_nodes import Nodes, install, node
from machines import GIB, cpu_host, gpu_host, verdict, with_free
from tune.driver.hosts.found import FoundHosts
from tune.preflight.findings import Preflight

CARD = verdict(gpu_host())
CPU = verdict(cpu_host())


def searching(monkeypatch: pytest.MonkeyPatch, nodes: Nodes) -> FoundHosts:
    [hosts] = install(monkeypatch, nodes).find().values()
    return hosts


def test_host_that_joins_is_asked_and_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes([node("a", gpus=1)], {"a": CARD})
    hosts = searching(monkeypatch, nodes)
    assert hosts.look()
    nodes.said.append(node("b", gpus=1))
    nodes.answers["b"] = CARD
    nodes.silent.add("b")
    assert hosts.look()
    assert hosts.num_trials == 1, "it has not answered"
    nodes.silent.clear()
    hosts.look()
    assert hosts.num_trials == 2
    assert hosts.take(alone=False).nodes == ("id-a", "id-b")
    assert hosts.take(alone=True).nodes == ("id-a",), "what is compared runs on one host"
    assert nodes.notes == ["b joined the cluster: 2 trials at once now."]


def test_host_that_is_gone_gets_no_trial_and_the_last_is_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("a", gpus=1), node("b", gpus=1)], {"a": CARD, "b": CARD})
    hosts = searching(monkeypatch, nodes)
    nodes.said[0] = node("a", gpus=1, alive=False)
    assert hosts.look()
    assert (hosts.num_trials, hosts.take(alone=False).nodes) == (1, ("id-b",))
    nodes.said.clear()
    assert not hosts.look()
    assert hosts.num_trials == 0, "no trial is handed out"
    assert not hosts.look()
    assert nodes.asked_for == [{"CPU": 8.0, "GPU": 1.0}], "once, of an autoscaler"
    assert nodes.given_back == 0
    nodes.said.append(node("c", gpus=1))
    nodes.answers["c"] = CARD
    assert hosts.look()
    assert hosts.take(alone=False).nodes == ("id-c",)
    assert nodes.given_back == 1
    assert nodes.notes == [
        "a left the cluster.",
        "b left the cluster.",
        "c joined the cluster: 1 trial at once now.",
    ]


def test_what_is_compared_keeps_its_host_though_a_larger_one_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("a", gpus=1), node("b", gpus=1)], {"a": CARD, "b": CARD})
    hosts = searching(monkeypatch, nodes)
    assert hosts.take(alone=True).nodes == ("id-a",)
    nodes.said.append(node("c", gpus=4))
    nodes.answers["c"] = CARD
    hosts.look()
    assert hosts.take(alone=False).nodes == ("id-a", "id-b", "id-c")
    assert hosts.take(alone=True).nodes == ("id-a",)
    assert hosts.take(alone=True, num_gpus=2).nodes == ("id-c",), "the first has not enough"
    nodes.said.pop()
    hosts.look()
    assert hosts.take(alone=True).nodes == ("id-a",), "the one that was compared on is gone"


def on_host(available_gib: float) -> Preflight:
    memory = dataclasses.replace(cpu_host().host_memory, available_bytes=int(available_gib * GIB))
    return verdict(gpu_host(host_memory=memory))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("its code is another one.", "its code is another one."),
        (CPU, "it is of class amd-epyc-8cpu, not rtx-4000-ada-generation-20gb-130w."),
        (on_host(16.5), None),
        (on_host(15.0), None),  # it still has the 13.6 GiB of the budget
        (
            on_host(14.0),
            "it has too little host memory to spare (11.9 GiB, and 12.2 GiB are",
        ),
        (
            verdict(gpu_host(with_free(15 * GIB))),
            "it has too little device memory to spare (",
        ),
        (
            verdict(gpu_host(cpus=dataclasses.replace(cpu_host().cpus, allowed=(0, 1)))),
            "it has room for fewer threads than the others.",
        ),
        (
            verdict(gpu_host(versions={"jax": "0.11.2", "jaxlib": "0.10.2"})),
            "it has jax 0.11.2, and the others have 0.10.2: install the same.",
        ),
    ],
)
def test_host_that_joins_must_hold_what_the_search_has_measured_so_far(
    monkeypatch: pytest.MonkeyPatch, answer: Preflight | str, reason: str | None
) -> None:
    nodes = Nodes([node("a", gpus=1)], {"a": CARD})
    hosts = searching(monkeypatch, nodes)
    nodes.said.append(node("b", gpus=1))
    nodes.answers["b"] = answer
    hosts.look()
    hosts.look()  # it is asked once
    [note] = nodes.notes
    if reason is None:
        assert note == "b joined the cluster: 2 trials at once now."
        return
    assert note.startswith(f"b joined the cluster and is left out: {reason}")
    assert hosts.num_trials == 1


def test_host_in_place_of_the_only_one_must_have_its_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("a", gpus=1)], {"a": CARD})
    hosts = searching(monkeypatch, nodes)
    nodes.said[:] = [node("b", gpus=1)]
    nodes.answers["b"] = verdict(gpu_host(versions={"jax": "0.11.2", "jaxlib": "0.10.2"}))
    assert not hosts.look()
    assert not hosts.look()
    assert "it has jax 0.11.2, and the others have 0.10.2" in nodes.notes[-1]


def test_nodes_that_were_left_out_at_the_start_are_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("a", gpus=1), node("b")], {"a": CARD, "b": CPU})
    hosts = searching(monkeypatch, nodes)
    nodes.notes.clear()
    hosts.look()
    assert nodes.notes == []
