"""The split of a machine whose GPUs are of several kinds: one search for each, at the same time.

All are judged together before any starts, and each is told its share: what is free cannot be read
beside the others.
"""

import dataclasses
import json
from collections.abc import Mapping

from cluster.node import ray_env
from cluster.structure import revive
from tune.preflight import device
from tune.preflight.findings import MachineShare, Preflight, PreflightRequest
from tune.preflight.judge import judge
from tune.preflight.kinds import kinds

_VARIABLE = "RL_TUNER_MACHINE_SHARE"


def shares(
    preflight: Preflight, request: PreflightRequest, environ: Mapping[str, str]
) -> dict[str, MachineShare]:
    """Return the share of each kind's search by class; none where one search has the machine.

    A number of GPUs is of one kind: of the class that was asked for, or of the first.
    """
    named = request.max_gpus, request.machine_class, request.share
    if not preflight.fit or not preflight.on_gpu or named != (None, None, None):
        return {}
    found = kinds(preflight.findings)
    if len(found) < 2:
        return {}
    together = dataclasses.replace(request, num_searches=len(found))
    whole = judge(preflight.findings, together, environ=ray_env.as_given(environ))
    with_places = {
        name: [place for place in whole.gpus if place.name in gpus] for name, gpus in found.items()
    }
    with_places = {name: places for name, places in with_places.items() if places}
    if len(with_places) < 2:
        return {}
    return {
        name: MachineShare(
            gpus=tuple(place.name for place in places),
            cpus=tuple(sorted(cpu for place in places for cpu in place.cpus)),
            thread_cap=len(places[0].cpus),
            host_bytes=whole.host_budget_bytes,
            beside=tuple(other for other in with_places if other != name),
        )
        for name, places in with_places.items()
    }


def left_out(preflight: Preflight, given: Mapping[str, MachineShare]) -> list[str]:
    """Return which GPUs have no part in any search, and why, as sentences."""
    taken = {gpu for share in given.values() for gpu in share.gpus}
    free = (gpu for gpus in kinds(preflight.findings).values() for gpu in gpus)
    few = "too few CPUs or threads, or too little memory, for one more trial"
    return [
        *device.left_out_warnings(preflight.findings, taken),
        *(f"GPU {gpu} stays idle: {few}." for gpu in free if gpu not in taken),
    ]


def told(share: MachineShare) -> dict[str, str]:
    """Return the variable that tells a search its share."""
    return {_VARIABLE: json.dumps(dataclasses.asdict(share))}


def share_of(environ: Mapping[str, str]) -> MachineShare | None:
    """Return the share that this process was told, `None` for the whole machine."""
    text = environ.get(_VARIABLE)
    return None if text is None else revive(MachineShare, json.loads(text))
