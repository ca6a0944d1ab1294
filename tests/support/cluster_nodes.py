"""Nodes of a Ray cluster that does not run, with what each would answer to a search's check."""

import dataclasses
from typing import Any

import pytest
import ray

from trainables.travelled import Travelled
from tune.driver.hosts import found, joined, plain
from tune.driver.hosts.host_check import HostCheck
from tune.preflight.findings import Preflight, PreflightRequest


def node(name: str, *, cpus: float = 8, gpus: float = 0, alive: bool = True) -> dict[str, Any]:
    """A node as `ray.nodes()` has it."""
    resources = {"CPU": cpus, "GPU": gpus, f"node:{name}": 1.0}
    return {
        "NodeID": f"id-{name}",
        "NodeManagerAddress": name,
        "Alive": alive,
        "Resources": {what: amount for what, amount in resources.items() if amount},
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked(HostCheck):
    """The check, without Ray: a question is the node's name."""

    def ask(self, node_id: str, *, num_trials: int) -> Any:
        return node_id.removeprefix("id-")


@dataclasses.dataclass
class Nodes:
    """Nodes, their answers by name, and those that have not answered yet."""

    said: list[dict[str, Any]]
    answers: dict[str, Preflight | str]
    silent: set[str] = dataclasses.field(default_factory=set)
    notes: list[str] = dataclasses.field(default_factory=list)
    comes: bool = True
    """Whether what Ray is asked for comes."""
    asked_for: list[dict[str, float]] = dataclasses.field(default_factory=list)
    given_back: int = 0

    def placement_group(self, bundles: list[dict[str, float]], **_: Any) -> "Nodes":
        """A placement group that was asked for."""
        self.asked_for += bundles
        return self

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it came."""
        return self.comes

    def remove(self, group: Any) -> None:
        """Give it back."""
        self.given_back += 1

    def find(self, request: PreflightRequest | None = None) -> dict[str, found.FoundHosts]:
        """The classes that a search finds."""
        check = Asked(request=request or PreflightRequest())
        return plain.find(check, travelled=Travelled(files={}), note=self.notes.append)


def install(monkeypatch: pytest.MonkeyPatch, nodes: Nodes) -> Nodes:
    """Let the searches of this process see these nodes."""

    def wait(asked: list[str], timeout: float) -> tuple[list[str], list[str]]:
        ready = [one for one in asked if one not in nodes.silent]
        return ready, [one for one in asked if one in nodes.silent]

    monkeypatch.setattr(ray, "nodes", lambda: nodes.said)
    monkeypatch.setattr(ray, "wait", wait)
    for module in (found, joined, plain):
        monkeypatch.setattr(module, "answer", lambda name, **_: nodes.answers[name])
    for module in (found, plain):
        monkeypatch.setattr(module, "placement_group", nodes.placement_group)
        monkeypatch.setattr(module, "remove_placement_group", nodes.remove)
    return nodes
