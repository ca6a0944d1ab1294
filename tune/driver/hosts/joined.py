"""A cluster of `cluster.join` as a search uses it: its classes, their limits, and their loss."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import ray

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import hardware
from trainables.command.options import FACTORY
from trainables.measurement import Outcome
from trainables.ray_trainable import Place
from tune.driver.hosts.host_check import HostCheck, answer
from tune.preflight.findings import NotFitError, Preflight
from tune.spec import Task

_LOOK_S = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class JoinedPlaces:
    """The places of a class: Ray knows them as a resource that each of its hosts publishes."""

    hardware_class: HardwareClass
    travelled: None = None

    @property
    def num_trials(self) -> int:
        """The number of places when the search began."""
        return self.hardware_class.num_trials

    @property
    def most_gpus(self) -> int | None:
        """The most GPUs of a host when the search began, `None` on the CPU."""
        return self.hardware_class.most_gpus

    def take(self, *, alone: bool, num_gpus: int = 1) -> Place:
        """Take a place of the class, with whole GPUs if it has any: on one host if alone."""
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]} if alone else set()
        # The largest, so that different numbers of GPUs are compared on one host.
        largest_first = sorted(self.hardware_class.hosts, key=lambda host: -host[2])
        left = [one for one, _, places in largest_first if one in alive and places >= num_gpus]
        resources = self.hardware_class.trial_resources(num_gpus)
        return Place(resources=resources, nodes=tuple(left[:1]))

    def give_back(self, place: Place, outcome: Outcome) -> Outcome:
        """Return how the trial ended: Ray has its place back by itself."""
        return outcome

    def leave_out(self, slow: Mapping[str, float]) -> None:
        """Leave nothing out: a host has one GPU for trials."""

    def look(self) -> bool:
        """Return whether a host of the class is alive."""
        resource = hardware.class_resource(self.hardware_class.name)
        return bool(ray.cluster_resources().get(resource, 0) >= 1)


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
            host = (node["NodeID"], node["NodeManagerAddress"], int(amount))
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


def preflight(chosen: HardwareClass, check: HostCheck) -> Preflight:
    """Judge every host of the class, on that host; return a verdict that holds on all of them.

    Raises:
        NotFitError: naming the host and what to change there.
    """
    asked = [
        (address, check.ask(node_id, num_trials=num_trials))
        for node_id, address, num_trials in chosen.hosts
    ]
    verdicts = []
    for address, one in asked:
        verdict = answer(one)
        if isinstance(verdict, str):
            raise NotFitError(f"{address} cannot take part: {verdict}")
        verdicts.append(verdict)
    return tightest(verdicts)


def tightest(verdicts: list[Preflight]) -> Preflight:
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


def files_of(task: Task) -> tuple[str, ...]:
    """Return the files that the workload's options name: every host needs them."""
    return tuple(str(path) for path in _paths_of(task) if path.is_file())


def folders_of(task: Task) -> tuple[str, ...]:
    """Return the folders that a workload's options name, as that of a language model.

    Those of a command may be where it writes.
    """
    if task.workload == FACTORY:
        return ()
    return tuple(str(path) for path in _paths_of(task) if path.is_dir())


def _paths_of(task: Task) -> list[Path]:
    values = task.options.values()
    words = [w for value in values for w in (value if isinstance(value, list | tuple) else [value])]
    paths = [Path(word) for word in words if isinstance(word, str)]
    return [path for path in paths if path.is_absolute()]


def _free_places(name: str) -> float:
    return float(ray.available_resources().get(hardware.class_resource(name), 0))
