"""A cluster of `cluster.join` as a search uses it: its classes, their limits, and their loss."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ray

from cluster.errors import UserError
from cluster.join.hardware_class import ClassHost, HardwareClass
from cluster.node import hardware
from tune.driver.hosts.found import FittingHost, FoundHosts, Node
from tune.driver.hosts.host_check import HostCheck, answer
from tune.preflight.findings import NotFitError
from tune.spec import Task

_LOOK_S = 1.0


class JoinedHosts(FoundHosts):
    """The hosts of a class, which each of them publishes as a resource of Ray.

    One that joins while a search runs is asked like those that were there at its start.
    """

    def __init__(
        self,
        chosen: HardwareClass,
        hosts: Sequence[FittingHost],
        *,
        check: HostCheck,
        note: Callable[[str], None],
    ) -> None:
        self._chosen = chosen
        super().__init__(chosen.name, hosts, check=check, travelled=None, note=note)

    def _resources(self, nodes: Sequence[Node], num_gpus: int) -> dict[str, float]:
        return self._chosen.trial_resources(max(num_gpus, 1))

    def _nodes(self) -> list[Node]:
        now = classes().get(self.name)
        return [] if now is None else nodes_of_class(now)


def nodes_of_class(of: HardwareClass) -> list[Node]:
    """Return the hosts of a class as nodes: each has a place for each GPU, or one on the CPU."""
    return [
        Node(node_id=node_id, address=address, num_cpus=1, num_gpus=places * of.uses_gpu)
        for node_id, address, places in of.hosts
    ]


def is_joined() -> bool:
    """Return whether the cluster is one of `cluster.join`, or says classes as those do."""
    resources = ray.cluster_resources()
    return any(
        name == hardware.JOINED or hardware.class_of_resource(name) is not None
        for name in resources
    )


def classes() -> dict[str, HardwareClass]:
    """Return the classes of the hosts that are alive, by name."""
    found: dict[str, HardwareClass] = {}
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        for resource, amount in node["Resources"].items():
            name = hardware.class_of_resource(resource)
            if name is None:
                continue
            host = ClassHost(node["NodeID"], node["NodeManagerAddress"], int(amount))
            known = found.get(name)
            found[name] = HardwareClass(
                name=name,
                hosts=(*known.hosts, host) if known else (host,),
                uses_gpu="GPU" in node["Resources"],
            )
    return dict(sorted(found.items()))


def require(name: str | None, *, timeout_s: float, note: Callable[[str], None]) -> HardwareClass:
    """Wait until the class `name`, or the only class, has a host with a free place.

    Raises:
        UserError: if there is none after `timeout_s`; names the classes that there are.
    """
    deadline, noted = time.monotonic() + timeout_s, False
    while True:
        found = classes()
        chosen = found.get(name) if name is not None else next(iter(found.values()), None)
        if chosen is not None and _free_places(chosen.name) >= 1:
            return chosen
        wanted = "any class" if name is None else f"class {name}"
        problem = f"no host of {wanted} is in the cluster (it has: {', '.join(found) or 'none'})"
        if chosen is not None:
            problem = f"all places of class {chosen.name} are taken by another search"
        if time.monotonic() > deadline:
            raise UserError(
                f"{problem}, for {timeout_s:.0f} s now: join one with python -m cluster.join "
                "worker, or wait longer with --class-timeout."
            )
        if not noted:
            note(f"Waiting: {problem}.")
            noted = True
        time.sleep(_LOOK_S)


def checked(chosen: HardwareClass, check: HostCheck, *, note: Callable[[str], None]) -> JoinedHosts:
    """Judge every host of the class, on that host; return them all.

    Raises:
        NotFitError: naming the host and what to change there.
    """
    nodes = nodes_of_class(chosen)
    asked = [check.ask(node.node_id, num_trials=node.num_trials) for node in nodes]
    hosts = []
    for node, one in zip(nodes, asked, strict=True):
        verdict = answer(one)
        if isinstance(verdict, str):
            raise NotFitError(f"{node.address} cannot take part: {verdict}")
        hosts.append(FittingHost(node=node, verdict=verdict))
    return JoinedHosts(chosen, hosts, check=check, note=note)


def files_of(task: Task) -> tuple[str, ...]:
    """Return the files that the workload's options name: every host needs them."""
    return tuple(str(path) for path in _paths_of(task) if path.is_file())


def folders_of(task: Task) -> tuple[str, ...]:
    """Return the folders that a workload's options name, as that of a language model.

    Those of a command may be where it writes.
    """
    if task.is_command:
        return ()
    return tuple(str(path) for path in _paths_of(task) if path.is_dir())


def _paths_of(task: Task) -> list[Path]:
    values = task.options.values()
    words = [w for value in values for w in (value if isinstance(value, list | tuple) else [value])]
    paths = [Path(word) for word in words if isinstance(word, str)]
    return [path for path in paths if path.is_absolute()]


def _free_places(name: str) -> float:
    return float(ray.available_resources().get(hardware.class_resource(name), 0))
