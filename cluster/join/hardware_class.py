"""A class of hardware in a joined cluster: its hosts, and the resources of one trial."""

import dataclasses

from cluster.node import hardware


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HardwareClass:
    """Hosts on which the same profile holds, each as (Ray's id, address, trials at once)."""

    name: str
    hosts: tuple[tuple[str, str, int], ...]
    uses_gpu: bool

    @property
    def num_trials(self) -> int:
        """Number of trials that run side by side: one for each GPU, or for each host's CPU."""
        return sum(num_trials for _, _, num_trials in self.hosts)

    @property
    def trial_resources(self) -> dict[str, float]:
        """Resources that Ray must find for a trial: a place on a host of this class, a whole GPU.

        GPUs are asked for too, so that Ray tells the trial which of them is its own.
        """
        return {
            "CPU": 0,
            "GPU": int(self.uses_gpu),
            hardware.class_resource(self.name): 1,
        }

    def describe(self) -> str:
        """Return the class and its hosts, in words."""
        # Ray names nodes in no order; of two addresses of a network the shorter is the smaller.
        addresses = sorted((address for _, address, _ in self.hosts), key=lambda a: (len(a), a))
        return f"{self.name}: {self.num_trials} at once on {', '.join(addresses)}"
