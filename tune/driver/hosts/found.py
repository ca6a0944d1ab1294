"""Hosts of one class that were found in a cluster, kept in sight while a search runs.

Nodes that join take part, and nodes that are gone are left alone.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from cluster.join.hardware_class import ClassHost, HardwareClass
from cluster.node import hardware
from cluster.pages import units
from trainables.measurement import Outcome
from trainables.ray_trainable import Place
from trainables.travelled import Travelled
from tune.driver.hosts.host_check import HostCheck, answer
from tune.preflight.findings import Device, Preflight
from tune.search.trial import Trial

_ALIKE = 0.9  # a budget of host memory is 85 % of what is free: such a host still has it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that can run trials, as Ray knows it.

    `num_cpus` and `num_gpus` are those that its `ray start` was given.
    """

    node_id: str
    address: str
    num_cpus: int
    num_gpus: int

    @property
    def num_trials(self) -> int:
        """The number of trials side by side: one for each GPU, or one on the CPU."""
        return max(self.num_gpus, 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FittingHost:
    """A node that fits, with its own verdict."""

    node: Node
    verdict: Preflight

    @property
    def uses_gpu(self) -> bool:
        """Return whether a trial must ask Ray for a GPU here."""
        return self.node.num_gpus > 0

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the frameworks, on which speeds depend."""
        return hardware.frameworks(self.verdict.machine)


class FoundHosts:
    """The hosts of one class. `travelled` has the files that came to them with the search."""

    def __init__(
        self,
        name: str,
        hosts: Sequence[FittingHost],
        *,
        check: HostCheck,
        travelled: Travelled | None,
        note: Callable[[str], None],
    ) -> None:
        self.name = name
        self.travelled = travelled
        self.preflight = tightest([host.verdict for host in hosts])
        self._hosts = {host.node.node_id: host for host in hosts}
        self._check = check
        self._note = note
        self._asked: dict[str, tuple[Node, Any]] = {}
        self._refused: set[str] = set()
        self._compared_on: str | None = None
        self._wanted = self.take(alone=False).resources
        self._demand: PlacementGroup | None = None

    @property
    def num_trials(self) -> int:
        """The number of trials that may run side by side now."""
        return sum(host.node.num_trials for host in self._hosts.values())

    @property
    def hardware_class(self) -> HardwareClass:
        """The class as it is now."""
        nodes = [host.node for host in self._hosts.values()]
        return HardwareClass(
            name=self.name,
            hosts=tuple(ClassHost(one.node_id, one.address, one.num_trials) for one in nodes),
            uses_gpu=any(host.uses_gpu for host in self._hosts.values()),
        )

    @property
    def most_gpus(self) -> int | None:
        """The most GPUs of a host now; `None` on the CPU, and while there is no host."""
        return max((host.node.num_gpus for host in self._hosts.values()), default=0) or None

    def take(self, *, alone: bool, num_gpus: int = 1) -> Place:
        """Take GPUs with their share of the CPUs, or all CPUs, of a host.

        Those that are alone have one host, and keep it while it is there: a larger one that joins
        would be compared with it.
        """
        nodes = [host.node for host in self._hosts.values()]
        on_gpu = all(node.num_gpus for node in nodes)
        # The largest first, so that different numbers of GPUs are compared on one host.
        nodes.sort(key=lambda node: -node.num_gpus)
        chosen = [n.node_id for n in nodes if n.num_gpus >= num_gpus or not on_gpu]
        if alone:
            if self._compared_on not in chosen:
                self._compared_on = next(iter(chosen), None)
            chosen = [one for one in chosen if one == self._compared_on]
        return Place(
            resources=self._resources(nodes, num_gpus if on_gpu else 0),
            nodes=tuple(sorted(chosen)),
        )

    def _resources(self, nodes: Sequence[Node], num_gpus: int) -> dict[str, float]:
        """Return what Ray must find for a trial on one of the nodes; no GPU is on the CPU."""
        share = min(node.num_cpus // node.num_trials for node in nodes)
        resources = {"CPU": float(share * max(num_gpus, 1)), "GPU": float(num_gpus)}
        return {name: amount for name, amount in resources.items() if amount}

    def _nodes(self) -> list[Node]:
        """Return the nodes that may be hosts of the class, as Ray knows them now."""
        return nodes_of(ray.nodes(), self._check.request.device)

    def give_back(self, place: Place, outcome: Outcome) -> Outcome:
        """Return how the trial ended: Ray has its place back by itself."""
        return outcome

    def refuse_others(self, node_ids: Iterable[str]) -> None:
        """Leave these nodes out for good: they were asked, and are not of this class."""
        self._refused.update(set(node_ids) - self._hosts.keys())

    def leave_out(self, slow: Mapping[str, float]) -> None:
        """Leave nothing out: trials do not tell which GPU of a node they ran on."""

    def resume(self, trials: Iterable[Trial]) -> None:
        """Do nothing: Ray chooses the GPUs."""

    def look(self) -> bool:
        """Take leave of nodes that are gone, ask new ones; return whether a host is left."""
        nodes = {node.node_id: node for node in self._nodes()}
        for node_id in self._hosts.keys() - nodes.keys():
            self._note(f"{self._hosts.pop(node_id).node.address} left the cluster.")
        for node_id in nodes.keys() - self._hosts.keys() - self._asked.keys() - self._refused:
            node = nodes[node_id]
            self._asked[node_id] = (node, self._check.ask(node_id, num_trials=node.num_trials))
        for node_id, (node, asked) in list(self._asked.items()):
            if ray.wait([asked], timeout=0)[0]:
                del self._asked[node_id]
                self._take(node, answer(asked))
        self._ask_for_one()
        return bool(self._hosts)

    def _ask_for_one(self) -> None:
        """Ask Ray for a place while there is none: an autoscaler starts nodes for what is asked."""
        if self._hosts and self._demand is not None:
            remove_placement_group(self._demand)
            self._demand = None
        elif not self._hosts and self._demand is None:
            self._demand = placement_group([self._wanted])

    def _take(self, node: Node, verdict: Preflight | str) -> None:
        """Take a node that joined among the hosts, or say why not."""
        reason = verdict if isinstance(verdict, str) else self._misfit(verdict)
        if reason is not None:
            self._refused.add(node.node_id)
            self._note(f"{node.address} joined the cluster and is left out: {reason}")
            return
        assert isinstance(verdict, Preflight)
        self._hosts[node.node_id] = FittingHost(node=node, verdict=verdict)
        places = units.plural(self.num_trials, "trial")
        self._note(f"{node.address} joined the cluster: {places} at once now.")

    def _misfit(self, verdict: Preflight) -> str | None:
        """Return why a host that fits cannot go on with what the search has measured so far."""
        if (name := hardware.machine_class(verdict.machine)) != self.name:
            return f"it is of class {name}, not {self.name}."
        if scarce := self._scarce_memory(verdict):
            return scarce
        if thread_cap(verdict) < thread_cap(self.preflight):
            return "it has room for fewer threads than the others."
        here, ours = (hardware.frameworks(of.machine) for of in (verdict, self.preflight))
        return other_versions(here, ours) if here != ours else None

    def _scarce_memory(self, verdict: Preflight) -> str | None:
        """Return of which memory a host has too little for the search's budgets, if of any."""
        ours = self.preflight
        compared = [("host", verdict.host_budget_bytes, int(_ALIKE * ours.host_budget_bytes))]
        if verdict.on_gpu:
            compared += [("device", verdict.device_budget_bytes, ours.device_budget_bytes)]
        for what, here, least in compared:
            if here < least:
                needed = f"{units.size(here)}, and {units.size(least)} are needed"
                return f"it has too little {what} memory to spare ({needed})."
        return None


def tightest(verdicts: Sequence[Preflight]) -> Preflight:
    """Return a verdict that holds on all hosts: the tightest's, with the smallest budgets."""
    return dataclasses.replace(
        min(verdicts, key=lambda one: (thread_cap(one), one.device_budget_bytes)),
        device_budget_bytes=min(one.device_budget_bytes for one in verdicts),
        host_budget_bytes=min(one.host_budget_bytes for one in verdicts),
    )


def thread_cap(verdict: Preflight) -> int:
    """Return the cap of a host that fits."""
    assert verdict.thread_env is not None
    return verdict.thread_env.cap


def nodes_of(said: Iterable[Mapping[str, Any]], device: Device) -> list[Node]:
    """Return the nodes that are alive and have CPUs or GPUs to give, from `ray.nodes()`.

    For a search on the CPU their GPUs are of no matter.
    """
    nodes = [
        Node(
            node_id=one["NodeID"],
            address=one["NodeManagerAddress"],
            num_cpus=int(one["Resources"].get("CPU", 0)),
            num_gpus=0 if device == "cpu" else int(one["Resources"].get("GPU", 0)),
        )
        for one in said
        if one["Alive"]
    ]
    return [node for node in nodes if node.num_cpus or node.num_gpus]


def other_versions(here: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Return how the versions of the frameworks differ, and what to do."""
    name = next(name for name in {**others, **here} if here.get(name) != others.get(name))
    own = f"{name} {here[name]}" if name in here else f"no {name}"
    return f"it has {own}, and the others have {others.get(name, 'none')}: install the same."
