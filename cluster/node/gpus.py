"""The GPUs that CUDA shows to a process: what they are, and their live figures.

A GPU that is lost, or that a container may not look at, is a fault of that GPU alone.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cluster.node import limits, nvml

_MOST_CPUS = 4096
_LEAST_COMPUTING = 10
"""Percent of a GPU's time from which on a process computes there: a desktop takes less."""

_CLOCK_LIMITS = {
    0x04: "power",
    0x08: "hardware",
    0x20: "temperature",
    0x40: "temperature",
    0x80: "power brake",
}
"""Bits of NVML's clocks event reasons. Others are no limits: idle, clocks that a person set."""

_CLOCK_QUERIES = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
"""The query for these bits, and its name in drivers before 535, which know no other."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML names it. A name is not a class: memory and power limit differ under it."""

    name: str
    memory_bytes: int
    power_limit_w: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """One GPU's figures of this moment; `None` where the card does not report one.

    `has_host_memory`: its memory is the host's own (GB10, Jetson). `held_back_by` are the limits
    that lower its clocks just now: "power", "temperature", "power brake", "hardware".
    """

    memory_free_bytes: int
    utilization_percent: float | None
    temperature_c: float | None
    power_w: float | None
    held_back_by: tuple[str, ...] = ()
    has_host_memory: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VisibleGpu:
    """One GPU that CUDA shows: its name for CUDA_VISIBLE_DEVICES, what it is, what it does now.

    `near_cpus` are on its side of the host; empty where the driver does not tell.
    """

    name: str
    gpu: Gpu
    usage: GpuUsage
    capability: tuple[int, int] | None
    near_cpus: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VisibleGpus:
    """The GPUs that CUDA shows to a process, and those that do not answer, as sentences by name.

    `unknown` is a name in CUDA_VISIBLE_DEVICES that no GPU has.
    """

    gpus: tuple[VisibleGpu, ...] = ()
    faults: dict[str, str] = dataclasses.field(default_factory=dict)
    num_hidden: int = 0
    unknown: str | None = None


def visible_gpus(environ: Mapping[str, str], *, driver: Any = None) -> VisibleGpus:
    """Return the GPUs that CUDA shows to a process with this environment.

    Raises:
        DriverError: if a driver is there and does not answer.
    """
    driver = driver or nvml.load()
    if driver is None:
        return VisibleGpus()
    seen = nvml.visible(driver, environ)
    found, faults = [], {}
    for device in seen.devices:
        try:
            if device.fault is None:
                found.append(_visible_gpu(driver, device))
            else:
                faults[device.name] = device.fault
        except driver.NVMLError as error:
            faults[device.name] = str(error)
    return VisibleGpus(
        gpus=tuple(found), faults=faults, num_hidden=seen.num_hidden, unknown=seen.unknown
    )


def own_gpu_usage(environ: Mapping[str, str], *, driver: Any = None) -> GpuUsage | None:
    """Return the figures of the one GPU that a process with this environment trains on.

    It is the first that CUDA shows to it. `None` where there is none, or it does not answer: what
    is only watched never ends a trial.
    """
    try:
        driver = driver or nvml.load()
    except nvml.DriverError:
        return None
    if driver is None:
        return None
    try:
        device = _own(driver, environ)
        return None if device is None else _usage(driver, device)
    except (nvml.DriverError, driver.NVMLError):
        return None


def computing_pids(
    environ: Mapping[str, str], since_us: int, *, driver: Any = None
) -> frozenset[int]:
    """Return the processes that computed on that same GPU since a moment, in microseconds of Unix.

    In a container these are pids of the host. Empty where the driver does not tell, as of MIG
    devices, or nothing computed. Some drivers return samples of no process, beyond 100 %.
    """
    try:
        driver = driver or nvml.load()
        device = _own(driver, environ) if driver else None
    except nvml.DriverError:
        return frozenset()
    query = "nvmlDeviceGetProcessUtilization"
    samples = () if device is None else nvml.ask(driver, query, device.handle, since_us)
    return frozenset(
        one.pid
        for one in samples or ()
        if one.timeStamp > since_us and _LEAST_COMPUTING <= one.smUtil <= 100
    )


def gpu_process_bytes(*, driver: Any = None) -> list[dict[int, int]]:
    """Return the memory of each process by its pid, for every GPU.

    Empty where the driver does not tell, as in many containers, whose pids are others than its own.
    """
    try:
        driver = driver or nvml.load()
        devices = nvml.devices(driver) if driver else ()
    except nvml.DriverError:
        return []
    found = []
    for device in devices:
        used: dict[int, int] = {}
        for kind in ("Compute", "Graphics"):
            query = f"nvmlDeviceGet{kind}RunningProcesses"
            processes = () if device.fault else nvml.ask(driver, query, device.parent)
            listed = {one.pid: one.usedGpuMemory for one in processes or ()}
            for pid, held_bytes in listed.items():
                used[pid] = max(used.get(pid, 0), held_bytes or 0)
        found.append(used)
    return found


def _own(driver: Any, environ: Mapping[str, str]) -> nvml.NvmlDevice | None:
    """Return the first GPU that CUDA shows to a process; `None` where there is none to be asked.

    Raises:
        DriverError: if the driver does not even count them.
    """
    seen = nvml.visible(driver, environ).devices
    if not seen and not nvml.hides_all(environ):
        everything = nvml.devices(driver)
        # A container shows its own GPU alone, whatever number it has on the host.
        seen = everything if len(everything) == 1 else ()
    return seen[0] if seen and seen[0].fault is None else None


def _visible_gpu(driver: Any, device: nvml.NvmlDevice) -> VisibleGpu:
    power_limit_mw = nvml.ask(driver, "nvmlDeviceGetPowerManagementLimit", device.handle)
    memory = nvml.memory(driver, device)
    capability = nvml.ask(driver, "nvmlDeviceGetCudaComputeCapability", device.parent)
    return VisibleGpu(
        name=device.name,
        gpu=Gpu(
            name=nvml.text(driver.nvmlDeviceGetName(device.handle)),
            memory_bytes=limits.host_memory().total_bytes if memory is None else memory.total,
            power_limit_w=None if power_limit_mw is None else power_limit_mw / 1000,
        ),
        usage=_usage(driver, device),
        capability=None if capability is None else (capability[0], capability[1]),
        near_cpus=_near_cpus(driver, device.parent),
    )


def _near_cpus(driver: Any, handle: Any) -> tuple[int, ...]:
    words = nvml.ask(driver, "nvmlDeviceGetCpuAffinity", handle, _MOST_CPUS // 64) or ()
    return tuple(
        64 * at + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1
    )


def _usage(driver: Any, device: nvml.NvmlDevice) -> GpuUsage:
    handle, memory = device.handle, nvml.memory(driver, device)
    rates = nvml.ask(driver, "nvmlDeviceGetUtilizationRates", handle)
    sensor = driver.NVML_TEMPERATURE_GPU
    power_mw = nvml.ask(driver, "nvmlDeviceGetPowerUsage", handle)
    answers = (nvml.ask(driver, query, handle) for query in _CLOCK_QUERIES)
    reasons = next((answer for answer in answers if answer is not None), 0)
    free_bytes = limits.host_memory().available_bytes if memory is None else memory.free
    return GpuUsage(
        memory_free_bytes=free_bytes,
        utilization_percent=None if rates is None else float(rates.gpu),
        temperature_c=nvml.ask(driver, "nvmlDeviceGetTemperature", handle, sensor),
        power_w=None if power_mw is None else power_mw / 1000,
        held_back_by=tuple(
            dict.fromkeys(name for bit, name in _CLOCK_LIMITS.items() if reasons & bit)
        ),
        has_host_memory=memory is None,
    )
