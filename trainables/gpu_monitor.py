"""A GPU's figures during a trial, by NVML, sampled between blocks: no thread and no cost."""

import collections
import statistics
from collections.abc import Callable, Mapping
from typing import TypedDict

from cluster.node import hardware


class GpuFigures(TypedDict):
    """The GPU's part of a `Measurement`."""

    gpu_utilization: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    gpu_held_back: dict[str, float]


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
