"""A Ray cluster that nobody prepared: its nodes are asked what they are.

A trial asks Ray for a whole GPU and its share of the host's CPUs, or for all CPUs of a host, on one
of the nodes of its class. So other people's tasks are waited for and not disturbed.
"""

import collections
import time
from collections.abc import Callable, Sequence

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from cluster.errors import UserError
from cluster.node import hardware
from trainables.travelled import Travelled
from tune.driver.hosts.found import FittingHost, FoundHosts, Node, nodes_of, other_versions
from tune.driver.hosts.host_check import CHECK_S, HostCheck, answer
from tune.preflight.findings import Device, NotFitError, Preflight

_NOTE_AFTER_S = 5.0


def require_nodes(device: Device, *, timeout_s: float, note: Callable[[str], None]) -> None:
    """Wait until a node has a CPU to give, or a GPU where one was asked for.

    What Ray is asked for and cannot find, it asks of an autoscaler, if there is one.

    Raises:
        UserError: if there is none after `timeout_s`.
    """
    wanted = "GPU" if device == "gpu" else "CPU"
    nodes = nodes_of(ray.nodes(), device)
    if any(node.num_gpus or wanted == "CPU" for node in nodes):
        return
    note(f"Waiting: no node of the cluster has a {wanted} to give; Ray is asked for one.")
    group = placement_group([{wanted: 1.0}])
    try:
        if group.wait(timeout_seconds=timeout_s):
            return
    finally:
        remove_placement_group(group)
    raise UserError(
        f"no node of the cluster had a {wanted} to give for {timeout_s:.0f} s: start one, or wait "
        "longer with --class-timeout (an autoscaler's node takes minutes)."
    )


def find(
    check: HostCheck, *, travelled: Travelled | None, note: Callable[[str], None]
) -> dict[str, FoundHosts]:
    """Ask every node of the cluster, and return those that fit by class.

    Nodes without a GPU are left out where others have one, unless the CPU was asked for.

    Raises:
        NotFitError: if no node fits, with the first one's reason.
    """
    nodes = nodes_of(ray.nodes(), check.request.device)
    hosts, left_out = _judged(nodes, check)
    if check.request.device != "cpu":
        hosts = _with_gpu_first(hosts, left_out)
    classes: dict[str, list[FittingHost]] = {}
    for host in hosts:
        classes.setdefault(hardware.machine_class(host.verdict.machine), []).append(host)
    classes = {name: _of_one_version(classes[name], left_out) for name in sorted(classes)}
    for address, reason in left_out.items():
        note(f"{address} is left out: {reason}")
    if not classes:
        address, reason = next(iter(left_out.items()), ("the cluster", "its nodes are gone."))
        raise NotFitError(f"no host of the cluster can take part. {address}: {reason}")
    found = {
        name: FoundHosts(name, of_class, check=check, travelled=travelled, note=note)
        for name, of_class in classes.items()
    }
    for one in found.values():
        one.refuse_others(node.node_id for node in nodes)
    return found


def require_free(chosen: FoundHosts, *, timeout_s: float, note: Callable[[str], None]) -> None:
    """Ask Ray for one place of the class, wait until it is free, and give it back.

    Raises:
        UserError: if others still have all places after `timeout_s`.
    """
    place = chosen.take(alone=False)
    group = placement_group([place.resources], bundle_label_selector=[place.label_selector])
    wanted = " and ".join(f"{amount:g} {name}" for name, amount in place.resources.items())
    try:
        if group.wait(timeout_seconds=min(_NOTE_AFTER_S, timeout_s)):
            return
        note(f"Waiting: no host of {chosen.name} has {wanted} free; others use them.")
        since = time.monotonic()
        while time.monotonic() - since < timeout_s - _NOTE_AFTER_S:
            if group.wait(timeout_seconds=1):
                return
    finally:
        remove_placement_group(group)
    raise UserError(
        f"no host of class {chosen.name} had {wanted} free for {timeout_s:.0f} s: others use them "
        "(see `ray status`). Wait longer with --class-timeout."
    )


def _judged(nodes: Sequence[Node], check: HostCheck) -> tuple[list[FittingHost], dict[str, str]]:
    """Ask all nodes at once; return those that fit, and by address why others do not."""
    asked = [(node, check.ask(node.node_id, num_trials=node.num_trials)) for node in nodes]
    hosts, left_out = [], {}
    deadline = time.monotonic() + CHECK_S
    for node, one in asked:
        verdict = answer(one, timeout_s=max(deadline - time.monotonic(), 0.0))
        reason = verdict if isinstance(verdict, str) else _unusable(node, verdict)
        if reason is not None:
            left_out[node.address] = reason
        elif isinstance(verdict, Preflight):
            hosts.append(FittingHost(node=node, verdict=verdict))
    return hosts, left_out


def _with_gpu_first(hosts: list[FittingHost], left_out: dict[str, str]) -> list[FittingHost]:
    """Return the hosts with a GPU where there are any, else all; note the others."""
    with_gpu = [host for host in hosts if host.verdict.on_gpu]
    if not with_gpu:
        return hosts
    for host in hosts:
        if host not in with_gpu:
            left_out[host.node.address] = "it has no GPU."
    return with_gpu


def _unusable(node: Node, verdict: Preflight) -> str | None:
    """Return why a node that fits cannot run trials as Ray knows it."""
    gpus = verdict.machine.gpus
    kinds = dict.fromkeys(map(hardware.gpu_class, gpus))
    if len(kinds) > 1:
        return (
            f"its GPUs differ ({', '.join(kinds)}), and a host has one class: start Ray there with "
            "CUDA_VISIBLE_DEVICES."
        )
    if verdict.on_gpu and not node.num_gpus:
        return "it has a GPU of which Ray does not know: start Ray there with --num-gpus."
    if verdict.on_gpu and node.num_gpus > len(gpus):
        return (
            f"Ray gives away {node.num_gpus} GPUs there, and {len(gpus)} answer: start Ray there "
            "with --num-gpus."
        )
    return None


def _of_one_version(hosts: Sequence[FittingHost], left_out: dict[str, str]) -> list[FittingHost]:
    """Return the hosts with the frameworks that most of them have; note the others."""
    versions = [tuple(sorted(host.versions.items())) for host in hosts]
    most = dict(collections.Counter(versions).most_common(1)[0][0])
    for host in hosts:
        if host.versions != most:
            left_out[host.node.address] = other_versions(host.versions, most)
    return [host for host in hosts if host.versions == most]
