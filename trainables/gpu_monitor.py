"""A GPU's figures during a trial, by NVML, sampled between blocks: no thread and no cost."""

import collections
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

from cluster.node import gpus
from cluster.node.gpus import GpuUsage
from trainables.disturbance import descendants


class GpuFigures(TypedDict):
    """The GPU's part of a `Measurement`."""

    gpu_utilization: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_held_back: dict[str, float]


class GpuMemory:
    """The GPU memory of this process and of all that came from it, looked at now and then.

    It is the driver's figure for these processes, of several GPUs that of the fullest. Where the
    driver does not know them (a container has pids of its own), it is the fall of the first GPU's
    free memory since the start.
    """

    def __init__(
        self,
        platform: str,
        environ: Mapping[str, str],
        *,
        by_process: Callable[[], Sequence[Mapping[int, int]]] = gpus.gpu_process_bytes,
        read: Callable[[Mapping[str, str]], GpuUsage | None] = gpus.own_gpu_usage,
    ) -> None:
        self.peak_bytes: int | None = None
        """The most that was seen; `None` where there is no GPU."""
        self._is_wanted = platform == "cuda"
        self._environ = environ
        self._by_process = by_process
        self._read = read
        self._free_at_start = self._free_bytes() if self._is_wanted else None

    def look(self) -> None:
        """Take in what is used now."""
        if not self._is_wanted:
            return
        own = {os.getpid(), *descendants(os.getpid())}
        used = max(
            (sum(held for pid, held in gpu.items() if pid in own) for gpu in self._by_process()),
            default=0,
        )
        if not used:
            free_bytes = self._free_bytes()
            if free_bytes is None or self._free_at_start is None:
                return  # the driver does not tell just now
            used = self._free_at_start - free_bytes
        self.peak_bytes = max(self.peak_bytes or 0, used)

    def _free_bytes(self) -> int | None:
        usage = self._read(self._environ)
        return None if usage is None else usage.memory_free_bytes


class GpuMonitor:
    """Samples of the one GPU that this process uses; NVML's own averages reach back up to 1 s."""

    def __init__(
        self,
        platform: str,
        environ: Mapping[str, str],
        read: Callable[[Mapping[str, str]], GpuUsage | None] = gpus.own_gpu_usage,
    ) -> None:
        self._read = read
        self._environ = environ
        self._is_wanted = platform == "cuda"
        self._samples: list[GpuUsage] = []

    def look(self) -> None:
        """Take one sample; none if the driver does not tell, or no longer."""
        usage = self._read(self._environ) if self._is_wanted else None
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


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
