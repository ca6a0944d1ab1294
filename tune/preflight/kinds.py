"""The kinds of GPUs of one machine, by their classes, and the findings of one kind alone. Pure."""

import dataclasses
import itertools

from cluster.node import hardware
from tune.preflight import device
from tune.preflight.findings import Findings, MachineShare, PreflightRequest, Problem


def kinds(findings: Findings) -> dict[str, tuple[str, ...]]:
    """Return the names for CUDA of the GPUs that trials may take, by class.

    Those whose memory another program holds are not among them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in findings.gpus:
        if not device.is_held(one):
            own = hardware.gpu_class(one.gpu)
            found[own] = (*found.get(own, ()), one.name)
    return found


def in_turns(findings: Findings) -> tuple[str, ...]:
    """Return those GPUs in the order in which they get a place: the first of each kind first."""
    turns = itertools.zip_longest(*kinds(findings).values())
    return tuple(name for turn in turns for name in turn if name is not None)


def narrowed(findings: Findings, request: PreflightRequest) -> Findings:
    """Return what the request leaves of the machine: one kind of GPUs, or one search's share."""
    if request.share is not None:
        return _of_share(findings, request.share)
    if request.machine_class is None:
        return findings
    return findings.of_gpus(
        [one for one in findings.gpus if hardware.gpu_class(one.gpu) == request.machine_class]
    )


def class_problems(findings: Findings, request: PreflightRequest) -> list[Problem]:
    """Return that no GPU is of the class that was asked for, if so."""
    classes = sorted(set(map(hardware.gpu_class, findings.machine.gpus)))
    if request.machine_class in (None, *classes):
        return []
    return [
        Problem(
            what=f"--machine-class {request.machine_class} is no kind of this machine's GPUs",
            got=", ".join(classes) or "it has none",
            do="Take one that is there; for the classes of a cluster give --address.",
        )
    ]


def _of_share(findings: Findings, share: MachineShare) -> Findings:
    own = [one for one in findings.gpus if one.name in share.gpus]
    allowed = tuple(cpu for cpu in findings.cpus.allowed if cpu in share.cpus)
    cpus = dataclasses.replace(findings.cpus, allowed=allowed)
    return dataclasses.replace(findings.of_gpus(own), cpus=cpus)
