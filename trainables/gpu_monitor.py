"""A GPU's figures during a trial, by NVML, sampled between blocks: no thread and no cost."""

import collections
import os
import statistics
from collections.abc import Callable, Mapping
from typing import TypedDict

from cluster.node import hardware
from trainables.disturbance import descendants


class GpuFigures(TypedDict):
    """The GPU's part of a `Measurement`."""

    gpu_utilization: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_held_back: dict[str, float]


class GpuMemory:
    """The GPU memory of this process and of all that came from it, looked at now and then.

    It is the driver's figure for these processes. Where the driver does not know them (a container
    has pids of its own), it is the fall of the GPU's free memory since the start.
    """

    def __init__(
        self,
        platform: str,
        *,
        by_process: Callable[[], Mapping[int, int]] = hardware.gpu_process_bytes,
        read: Callable[[], dict[int, hardware.GpuUsage] | None] = hardware.gpu_usage,
    ) -> None:
        self.peak_bytes: int | None = None
        """The most that was seen; `None` where there is no GPU."""
        self._is_wanted = platform == "cuda"
        self._by_process = by_process
        self._read = read
        self._free_at_start = self._free_bytes() if self._is_wanted else 0

    def look(self) -> None:
        """Take in what is used now."""
        if not self._is_wanted:
            return
        known, own = self._by_process(), {os.getpid(), *descendants(os.getpid())}
        used = sum(held for pid, held in known.items() if pid in own)
        used = used or self._free_at_start - self._free_bytes()
        self.peak_bytes = max(self.peak_bytes or 0, used)

    def _free_bytes(self) -> int:
        return sum(usage.memory_free_bytes for usage in (self._read() or {}).values())


class GpuMonitor:
    """Samples of the one GPU that this process uses; NVML's own averages reach back up to 1 s."""

    def __init__(
        self,
        platform: str,
        environ: Mapping[str, str],
        read: Callable[[], dict[int, hardware.GpuUsage] | None] = hardware.gpu_usage,
    ) -> None:
        self._read = read
        self._is_wanted = platform == "cuda"
        self._visible = environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        self._samples: list[hardware.GpuUsage] = []

    def look(self) -> None:
        """Take one sample; none if NVML has several GPUs and it is unknown which is ours."""
        if not self._is_wanted:
            return
        usages = self._read() or {}
        if len(usages) == 1:
            self._samples.extend(usages.values())
        elif self._visible.isdigit() and int(self._visible) in usages:
            self._samples.append(usages[int(self._visible)])

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
