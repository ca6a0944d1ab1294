"""A GPU's figures during a trial, by NVML, sampled between blocks: no thread and no cost."""

import collections
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypedDict

from cluster.node import gpus
from cluster.node.gpus import GpuUsage
from trainables.disturbance import descendants

_OWN_USAGE = functools.partial(gpus.own_gpu_usage, os.environ)
_COMPUTING = functools.partial(gpus.computing_pids, os.environ)
"""Questions about this process's own GPU: its figures, and who computes on it."""


class GpuFigures(TypedDict):
    """The GPU's part of a `Measurement`."""

    gpu_utilization: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_held_back: dict[str, float]


def jax_peak_bytes() -> int | None:
    """Return the most that this process's JAX held of a GPU; `None` where it has none.

    JAX is neither imported here nor started.
    """
    jax, bridge = sys.modules.get("jax"), sys.modules.get("jax._src.xla_bridge")
    has_started = getattr(bridge, "backends_are_initialized", None)  # not a stable API
    if jax is None or (has_started is not None and not has_started()):
        return None
    stats = (device.memory_stats() or {} for device in jax.local_devices())
    return max(
        (one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one), default=None
    )


def torch_peak_bytes() -> int | None:
    """Return the most that this process's torch held of a GPU; `None` where it has used none.

    Torch is neither imported here nor started.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    return max(map(cuda.max_memory_reserved, range(cuda.device_count())), default=None)


def allocated_peak_bytes() -> int | None:
    """Return the most that JAX and torch held of a GPU in this process, each at its own peak.

    A policy may be of one of them, and its environments of the other.
    """
    known = [held for held in (jax_peak_bytes(), torch_peak_bytes()) if held is not None]
    return sum(known) if known else None


def _peak_bytes_beside_a_pool() -> int | None:
    """Return the same where JAX has a pool; `None` where the driver tells all."""
    return None if jax_peak_bytes() is None else allocated_peak_bytes()


class GpuMemory:
    """The GPU memory of this process and of all that came from it, looked at now and then.

    It is the peak of JAX's allocator, where this process trains with it, and of torch's beside it:
    the driver only sees the pool, which is as large for every configuration. Else it is the
    driver's figure for these processes, of several GPUs that of the fullest. Where the driver does
    not know them (a container has pids of its own), it is the fall of the first GPU's free memory
    since the start.
    """

    def __init__(
        self,
        platform: str,
        *,
        by_allocator: Callable[[], int | None] = _peak_bytes_beside_a_pool,
        by_process: Callable[[], Sequence[Mapping[int, int]]] = gpus.gpu_process_bytes,
        read: Callable[[], GpuUsage | None] = _OWN_USAGE,
    ) -> None:
        self.peak_bytes: int | None = None
        """The most that was seen; `None` where there is no GPU."""
        self._is_wanted = platform == "cuda"
        self._by_allocator = by_allocator
        self._by_process = by_process
        self._read = read
        self._free_at_start = self._free_bytes() if self._is_wanted else None

    def look(self) -> None:
        """Take in what is used now."""
        if not self._is_wanted:
            return
        used = self._by_allocator()
        if used is None:
            used = self._by_driver()
        if used is not None:
            self.peak_bytes = max(self.peak_bytes or 0, used)

    def _by_driver(self) -> int | None:
        own = {os.getpid(), *descendants(os.getpid())}
        used = max(
            (sum(held for pid, held in gpu.items() if pid in own) for gpu in self._by_process()),
            default=0,
        )
        if used:
            return used
        free_bytes = self._free_bytes()
        if free_bytes is None or self._free_at_start is None:
            return None  # the driver does not tell just now
        if free_bytes > self._free_at_start:
            self._free_at_start = free_bytes
            return None  # another program gave memory back: what is ours is hidden in that
        return self._free_at_start - free_bytes

    def _free_bytes(self) -> int | None:
        usage = self._read()
        return None if usage is None else usage.memory_free_bytes


class GpuMonitor:
    """Samples of the one GPU that this process uses; NVML's own averages reach back up to 1 s."""

    def __init__(
        self,
        platform: str,
        read: Callable[[], GpuUsage | None] = _OWN_USAGE,
    ) -> None:
        self._read = read
        self._is_wanted = platform == "cuda"
        self._samples: list[GpuUsage] = []

    def look(self) -> None:
        """Take one sample; none if the driver does not tell, or no longer."""
        usage = self._read() if self._is_wanted else None
        if usage is not None:
            self._samples.append(usage)

    def figures(self) -> GpuFigures:
        """Return mean utilisation and power, the highest temperature, and what held it back.

        `gpu_held_back` has, for each limit that lowered the clocks, the share of samples.
        """
        utilizations = [s.utilization_percent for s in self._samples]
        temperatures = [s.temperature_c for s in self._samples]
        powers = [s.power_w for s in self._samples]
        limits = collections.Counter(name for s in self._samples for name in s.held_back_by)
        return GpuFigures(
            gpu_utilization=statistics.fmean(u) if (u := _known(utilizations)) else None,
            gpu_temperature_c=max(_known(temperatures), default=None),
            gpu_power_w=statistics.fmean(p) if (p := _known(powers)) else None,
            gpu_held_back={name: count / len(self._samples) for name, count in limits.items()},
        )


class GpuNeighbours:
    """Other processes that compute on this trial's GPU, from look to look.

    The driver tells processes by pids of the host. In a container they can only be counted: there
    are others where more computed than the trial has on the GPU. It has those that the driver lists
    under its own pids. Where it lists none, it is one process if the trial is one; of several,
    nobody knows. One that only holds memory is no neighbour: beside it a training was as fast as
    ever (benchmarks/gpu).
    """

    def __init__(
        self,
        platform: str,
        *,
        computing: Callable[[int], Collection[int]] = _COMPUTING,
        listed: Callable[[], Sequence[Mapping[int, int]]] = gpus.gpu_process_bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.num_blocks = 0
        """The stretches so far in which others computed."""
        self._is_wanted = platform == "cuda"
        self._computing = computing
        self._listed = listed
        self._clock = clock
        self._since = clock()

    def disturbed(self) -> bool:
        """Return whether others computed there since the last call, or since the start."""
        if not self._is_wanted:
            return False
        since, self._since = self._since, self._clock()
        were = self._are_others(set(self._computing(round(1e6 * since))))
        self.num_blocks += were
        return were

    def _are_others(self, computing: set[int]) -> bool:
        own = {os.getpid(), *descendants(os.getpid())}
        if computing & own:
            return bool(computing - own)
        if len(computing) < 2:
            return False
        num_listed = max((len(own & gpu.keys()) for gpu in self._listed()), default=0)
        if not num_listed and len(own) > 1:
            return False
        return len(computing) > max(1, num_listed)


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
