"""A class of hardware in a joined cluster: its hosts, and the resources of one trial."""

import dataclasses
from typing import NamedTuple

from cluster.node import hardware


class ClassHost(NamedTuple):
    """A host by Ray's id and its address, and the number of trials that run there at once."""

    node_id: str
    address: str
    num_trials: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HardwareClass:
    """Hosts on which the same profile holds."""

    name: str
    hosts: tuple[ClassHost, ...]
    uses_gpu: bool

    @property
    def num_trials(self) -> int:
        """Number of trials that run side by side: one for each GPU, or for each host's CPU."""
        return sum(host.num_trials for host in self.hosts)

    @property
    def most_gpus(self) -> int | None:
        """The most GPUs of one host; `None` where trials use none."""
        return max(host.num_trials for host in self.hosts) if self.uses_gpu else None

    def trial_resources(self, num_gpus: int = 1) -> dict[str, float]:
        """Return what Ray must find for a trial: places on a host of this class, whole GPUs.

        GPUs are asked for too, so that Ray tells the trial which of them are its own.
        """
        num_places = num_gpus if self.uses_gpu else 1
        return {
            "CPU": 0,
            "GPU": num_places if self.uses_gpu else 0,
            hardware.class_resource(self.name): num_places,
        }

    def describe(self) -> str:
        """Return the class and its hosts, in words."""
        # Ray names nodes in no order; of two addresses of a network the shorter is the smaller.
        addresses = sorted((host.address for host in self.hosts), key=lambda a: (len(a), a))
        return f"{self.name}: {self.num_trials} at once on {', '.join(addresses)}"
