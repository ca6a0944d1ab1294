"""Workloads that ask for more device memory than there is, each in another way; one that rests."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from trainables.workload import DeviceUsage


class _Hungry:
    """A loop that allocates in its first update, by a function that is given, on `platform`."""

    env_steps_per_update = 1

    def __init__(self, allocate: Callable[[], Any], platform: str) -> None:
        self._allocate = allocate
        self._platform = platform

    def run(self, num_updates: int) -> None:
        """Allocate, or rest, in each update."""
        for _ in range(num_updates):
            self._allocate()

    def device_usage(self) -> DeviceUsage:
        """Return where it runs."""
        return DeviceUsage(platform=self._platform, peak_device_bytes=None, num_compilations=None)


def idle(config: Mapping[str, int], options: Mapping[str, Any]) -> _Hungry:
    """Build a loop that rests in each update: a rehearsed search need not train."""
    return _Hungry(lambda: time.sleep(0.02), "cpu")


def array(config: Mapping[str, int], options: Mapping[str, Any]) -> _Hungry:
    """Build a loop that makes one JAX array of `gib` GiB."""
    import jax
    import jax.numpy as jnp

    def allocate() -> None:
        jnp.zeros((config["gib"], 2**28)).block_until_ready()

    return _Hungry(allocate, "cuda" if jax.default_backend() == "gpu" else "cpu")


def program(config: Mapping[str, int], options: Mapping[str, Any]) -> Any:
    """Build a loop whose compiled update takes a state of `gib` GiB."""
    import jax
    import jax.numpy as jnp

    from trainables.jax_workload import JaxWorkload

    def update(state: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        return state + 1.0, {"sum": state[0, 0]}

    return JaxWorkload(update, lambda: jnp.zeros((config["gib"], 2**28)), env_steps_per_update=1)


def tensor(config: Mapping[str, int], options: Mapping[str, Any]) -> _Hungry:
    """Build a loop that makes one PyTorch tensor of `gib` GiB."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return _Hungry(lambda: torch.zeros(config["gib"], 2**28, device=device), device)
