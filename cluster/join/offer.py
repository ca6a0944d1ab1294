"""What a host offers to searches: trials of which class, and whether there is room for Ray."""

import dataclasses
import json
import os

from cluster.errors import JoinError
from cluster.node import hardware, limits, ray_env, thread_env


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostOffer:
    """What a host offers to searches: trials side by side, on GPUs or on its CPU.

    `machine_class` is published as a resource, so that a trial can ask for its class of hardware: a
    GPU's name alone is none, as memory and power limit differ under it.
    """

    machine_class: str
    num_gpus: int
    on_cpu: bool

    @property
    def num_trials(self) -> int:
        """Trials that may run here side by side."""
        return self.num_gpus or int(self.on_cpu)

    def ray_arguments(self) -> list[str]:
        """What tells `ray start` of it; by itself Ray would start a worker per core."""
        resources = {}
        if self.num_trials:
            resources[hardware.class_resource(self.machine_class)] = self.num_trials
        return [
            "--num-cpus=1",
            f"--num-gpus={self.num_gpus}",
            f"--resources={json.dumps(resources)}",
        ]


def choose_offer(*, num_gpus: int | None, on_cpu: bool, is_head: bool) -> HostOffer:
    """What this host offers: the GPUs that are asked for, or all that are seen.

    Raises:
        JoinError: if that cannot be, or is nothing, on a worker.
    """
    gpus = _visible_gpus()
    num_gpus = len(gpus) if num_gpus is None else num_gpus
    if num_gpus < 0:
        raise JoinError(f"--num-gpus must be at least 0, got {num_gpus}.")
    offer = HostOffer(machine_class=own_machine_class(), num_gpus=num_gpus, on_cpu=on_cpu)
    if not is_head and not offer.num_trials:
        raise JoinError("no GPU is seen here: check nvidia-smi, or offer the CPU with --cpu.")
    return offer


def own_machine_class() -> str:
    """This host's class; the GPUs that CUDA_VISIBLE_DEVICES hides do not count.

    Raises:
        JoinError: if its GPUs differ.
    """
    gpus = _visible_gpus()
    if len(set(gpus)) > 1:
        names = ", ".join(gpu.name for gpu in gpus)
        raise JoinError(
            f"the GPUs of this host differ ({names}), and a host offers one class: choose with "
            "CUDA_VISIBLE_DEVICES."
        )
    return hardware.machine_class(dataclasses.replace(hardware.probe(), gpus=gpus))


def _visible_gpus() -> tuple[hardware.Gpu, ...]:
    gpus = hardware.probe().gpus
    return tuple(gpus[index] for index in hardware.visible_gpus(len(gpus), os.environ))


def check_room(offer: HostOffer, *, dashboard: bool) -> None:
    """Under too small a limit on threads Ray does not fail but hangs: see that first.

    Raises:
        JoinError: names the limit, and how to raise it.
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
