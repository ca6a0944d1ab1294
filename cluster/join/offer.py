"""The offer of a host to searches: its class, its trials, and the room for Ray."""

import dataclasses
import json
import os

from cluster.errors import JoinError
from cluster.node import gpus, hardware, limits, ray_env, thread_env
from cluster.node.gpus import Gpu


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostOffer:
    """The offer of a host to searches: trials side by side, on GPUs or on its CPU.

    `machine_class` is published as a resource of Ray, so that a trial can ask for its class. The
    name of a GPU is no class: cards of one name differ in memory and power limit.
    """

    machine_class: str
    num_gpus: int
    on_cpu: bool

    @property
    def num_trials(self) -> int:
        """Number of trials that may run here side by side."""
        return self.num_gpus or int(self.on_cpu)

    def ray_arguments(self, *, is_head: bool) -> list[str]:
        """Return the offer as arguments of `ray start`, which else starts a worker per core."""
        resources = {hardware.JOINED: 1} if is_head else {}
        if self.num_trials:
            resources[hardware.class_resource(self.machine_class)] = self.num_trials
        return [
            "--num-cpus=1",
            f"--num-gpus={self.num_gpus}",
            f"--resources={json.dumps(resources)}",
        ]


def choose_offer(*, num_gpus: int | None, on_cpu: bool, is_head: bool) -> HostOffer:
    """Return this host's offer: the GPUs that are asked for, or all that are seen.

    Raises:
        JoinError: if the number is negative, GPUs differ, or a worker has nothing to offer.
    """
    num_gpus = len(_visible_gpus()) if num_gpus is None else num_gpus
    if num_gpus < 0:
        raise JoinError(f"--num-gpus must be at least 0, got {num_gpus}.")
    offer = HostOffer(machine_class=own_machine_class(), num_gpus=num_gpus, on_cpu=on_cpu)
    if not is_head and not offer.num_trials:
        raise JoinError("no GPU is seen here: check nvidia-smi, or offer the CPU with --cpu.")
    return offer


def own_machine_class() -> str:
    """Return this host's class, without the GPUs that CUDA_VISIBLE_DEVICES hides.

    Raises:
        JoinError: if its GPUs differ.
    """
    kinds = dict.fromkeys(map(hardware.gpu_class, _visible_gpus()))
    if len(kinds) > 1:
        raise JoinError(
            f"the GPUs of this host differ ({', '.join(kinds)}), and a host offers one class: "
            "choose with CUDA_VISIBLE_DEVICES."
        )
    return hardware.machine_class(hardware.probe())


def _visible_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA shows; a host offers all of them.

    Raises:
        JoinError: if one does not answer, because Ray would give trials to it.
    """
    seen = gpus.visible_gpus(os.environ)
    for name, fault in seen.faults.items():
        raise JoinError(
            f"GPU {name} does not answer ({fault}): restart the host, or, if it is not the first, "
            "choose the others with CUDA_VISIBLE_DEVICES."
        )
    return tuple(one.gpu for one in seen.gpus)


def check_room(offer: HostOffer, *, dashboard: bool) -> None:
    """Check that the limits on threads leave room: under too small a one Ray hangs silently.

    Raises:
        JoinError: naming the limit, and how to raise it.
    """
    try:
        thread_env.choose_cap(
            limits=limits.threads(),
            cpus=limits.cpus(),
            platform="cuda" if offer.num_gpus else "cpu",
            ray_threads=ray_env.expected_threads(max(offer.num_trials, 1), dashboard),
            num_parallel_trials=max(offer.num_trials, 1),
        )
    except thread_env.NoRoomError as error:
        remedy = error.limit.remedy.format(limit=error.smallest_limit)
        raise JoinError(f"{error} To raise it: {remedy}.") from error
