"""This machine's fingerprint, which profiles carry, and its GPUs' live figures.

Versions come from package metadata: importing a framework here would start its thread pools in
the parent, which drives trials and never trains.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import itertools
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cluster.node import cgroups, limits

_PACKAGES = (
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "torch",
    "ray",
    "optuna",
    "numpy",
)
_CLASS_RESOURCE = "class:"
_CLOCK_LIMITS = {
    0x04: "power",
    0x08: "hardware",
    0x20: "temperature",
    0x40: "temperature",
    0x80: "power brake",
}
"""Bits of NVML's clocks event reasons. Others are no limits: idle, clocks that a person set."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML names it. A name is not a class: memory and power limit differ under it."""

    name: str
    memory_bytes: int
    power_limit_w: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine's fingerprint. It holds no serial number or address: profiles are shared.

    `gpus` is in NVML's order. `ram_bytes` is what this process's cgroup may use of it.
    """

    gpus: tuple[Gpu, ...]
    driver_version: str | None
    cuda_driver_version: str | None
    cpu_model: str
    num_cpus: int
    cpu_quota_cores: float | None
    ram_bytes: int
    os: str
    python: str
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """One GPU's figures of this moment; `None` where the card does not report one.

    `held_back_by` are the limits that lower its clocks just now: "power", "temperature", "power
    brake", "hardware".
    """

    memory_free_bytes: int
    utilization_percent: float | None
    temperature_c: float | None
    power_w: float | None
    held_back_by: tuple[str, ...] = ()


def probe(*, proc: Path = Path("/proc"), nvml: Any = None) -> Machine:
    """Read this machine's fingerprint; `nvml` defaults to pynvml, if a driver is there."""
    nvml = nvml or _load_nvml()
    cpus = limits.cpus(proc=proc)
    return Machine(
        gpus=tuple(_gpu(nvml, handle) for handle in _handles(nvml)) if nvml else (),
        driver_version=_text(nvml.nvmlSystemGetDriverVersion()) if nvml else None,
        cuda_driver_version=_cuda_version(nvml.nvmlSystemGetCudaDriverVersion()) if nvml else None,
        cpu_model=_cpu_model(proc),
        num_cpus=len(cpus.allowed),
        cpu_quota_cores=cpus.quota_cores,
        ram_bytes=limits.host_memory(proc=proc).total_bytes,
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=_versions(_PACKAGES),
    )


def gpu_usage(*, nvml: Any = None) -> dict[int, GpuUsage] | None:
    """Return each GPU's figures by NVML index, `None` where there is no driver."""
    nvml = nvml or _load_nvml()
    if nvml is None:
        return None
    return {index: _usage(nvml, handle) for index, handle in enumerate(_handles(nvml))}


def gpu_process_bytes(*, nvml: Any = None) -> dict[int, int]:
    """Return the GPU memory of each process by its pid, over all GPUs.

    Empty where the driver does not tell, as in many containers, whose pids are others than its own.
    """
    nvml = nvml or _load_nvml()
    used: dict[int, int] = {}
    for handle in _handles(nvml) if nvml else ():
        for query in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            listed = {one.pid: one.usedGpuMemory for one in _optional(nvml, query, handle) or ()}
            for pid, held_bytes in listed.items():
                used[pid] = max(used.get(pid, 0), held_bytes or 0)
    return used


def visible_gpus(num_gpus: int, environ: Mapping[str, str]) -> tuple[int, ...]:
    """Return which of the GPUs CUDA_VISIBLE_DEVICES leaves, by NVML index, as CUDA reads it.

    Names of single cards (`GPU-...`, `MIG-...`) are not resolved: then all are returned.
    """
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None or text.startswith(("GPU-", "MIG-")):
        return tuple(range(num_gpus))
    names = [name.strip() for name in text.split(",")]
    known = itertools.takewhile(lambda name: name.isdigit() and int(name) < num_gpus, names)
    return tuple(map(int, known))  # CUDA, too, ignores all that follows a name it does not know


def machine_class(machine: Machine) -> str:
    """Return a slug under which profiles are interchangeable: GPU, memory and power, or the CPU.

    The first GPU counts: a trial trains on one.
    """
    if machine.gpus:
        gpu = machine.gpus[0]
        power = "" if gpu.power_limit_w is None else f"-{gpu.power_limit_w:.0f}w"
        return _slug(f"{gpu.name}-{round(gpu.memory_bytes / 2**30)}gb{power}")
    return _slug(f"{machine.cpu_model}-{machine.num_cpus}cpu")


def software(machine: Machine) -> list[tuple[str, str]]:
    """Return what runs on the machine, by name and version."""
    return [("OS", machine.os), ("Python", machine.python), *machine.versions.items()]


def class_resource(name: str) -> str:
    """Return the resource by which a joined host tells Ray that it is of this class."""
    return f"{_CLASS_RESOURCE}{name}"


def class_of_resource(resource: str) -> str | None:
    """Return the class that a resource stands for, `None` for any other resource."""
    is_class = resource.startswith(_CLASS_RESOURCE)
    return resource.removeprefix(_CLASS_RESOURCE) if is_class else None


def differences(recorded: Machine, current: Machine) -> list[str]:
    """Say in sentences how the `current` machine differs from the one `recorded` in a profile."""
    before, after = _facts(recorded), _facts(current)
    return [
        f"{name} was {before.get(name, 'absent')}, is {after.get(name, 'absent')} here."
        for name in before | after
        if before.get(name) != after.get(name)
    ]


def _facts(machine: Machine) -> dict[str, str]:
    gib = 2**30
    gpus = [
        f"{gpu.name} ({gpu.memory_bytes / gib:.1f} GiB"
        + ("" if gpu.power_limit_w is None else f", {gpu.power_limit_w:.0f} W")
        + ")"
        for gpu in machine.gpus
    ]
    return {
        "GPU": ", ".join(gpus) or "absent",
        "NVIDIA driver": str(machine.driver_version or "absent"),
        "CPU": machine.cpu_model,
        "number of CPUs": str(machine.num_cpus),
        "CPU quota": f"{machine.cpu_quota_cores or 'no'} cores",
        "RAM": f"{machine.ram_bytes / gib:.0f} GiB",
        **dict(software(machine)),
    }


@functools.cache
def _load_nvml() -> Any:
    """Return pynvml, initialised for the life of the process, or `None` without a driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def _handles(nvml: Any) -> Iterable[Any]:
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def _gpu(nvml: Any, handle: Any) -> Gpu:
    power_limit_mw = _optional(nvml, nvml.nvmlDeviceGetPowerManagementLimit, handle)
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=nvml.nvmlDeviceGetMemoryInfo(handle).total,
        power_limit_w=None if power_limit_mw is None else power_limit_mw / 1000,
    )


def _usage(nvml: Any, handle: Any) -> GpuUsage:
    rates = _optional(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    sensor = nvml.NVML_TEMPERATURE_GPU
    power_mw = _optional(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    reasons = _optional(nvml, nvml.nvmlDeviceGetCurrentClocksEventReasons, handle) or 0
    return GpuUsage(
        memory_free_bytes=nvml.nvmlDeviceGetMemoryInfo(handle).free,
        utilization_percent=None if rates is None else float(rates.gpu),
        temperature_c=_optional(nvml, nvml.nvmlDeviceGetTemperature, handle, sensor),
        power_w=None if power_mw is None else power_mw / 1000,
        held_back_by=tuple(
            dict.fromkeys(name for bit, name in _CLOCK_LIMITS.items() if reasons & bit)
        ),
    )


def _optional(nvml: Any, query: Any, *arguments: Any) -> Any:
    """Ask for a figure that not every card reports (laptops, vGPUs, MIG)."""
    try:
        return query(*arguments)
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # bytes before pynvml 11.5


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _cpu_model(proc: Path) -> str:
    """Return the CPU's name; Arm's /proc/cpuinfo often has none, so the architecture stands in."""
    text = cgroups.read_text(proc / "cpuinfo") or ""
    match = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else os.uname().machine


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _slug(text: str) -> str:
    words = re.sub(r"\((?:r|tm)\)|nvidia|geforce", "", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")
