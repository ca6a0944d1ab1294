"""This machine's fingerprint, which profiles carry, and its GPUs' live figures.

Versions come from package metadata: importing a framework here would start its thread pools in
the parent, which drives trials and never trains.
"""

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster.node import cgroups, gpus, limits, nvml
from cluster.node.gpus import Gpu, VisibleGpus

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
_FRAMEWORKS = ("jax", "jaxlib", "torch")
_CLASS_RESOURCE = "class:"
JOINED = "rl-tuner-joined"
"""The resource by which a head of `cluster.join` says so."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine's fingerprint. It holds no serial number or address: profiles are shared.

    `gpus` are those that CUDA shows, in its order. `ram_bytes` is what this process's cgroup may
    use of it.
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


def probe(
    *, proc: Path = Path("/proc"), driver: Any = None, visible: VisibleGpus | None = None
) -> Machine:
    """Read this machine's fingerprint.

    `driver` defaults to pynvml, if a driver is there; `visible` to the
    GPUs that this process sees.

    Raises:
        DriverError: if a driver is there and does not answer.
    """
    if visible is None:
        driver = driver or nvml.load()
        visible = gpus.visible_gpus(os.environ, driver=driver)
    cpus = limits.cpus(proc=proc)
    return Machine(
        gpus=tuple(one.gpu for one in visible.gpus),
        driver_version=_driver_version(driver),
        cuda_driver_version=_cuda_version(driver),
        cpu_model=_cpu_model(proc),
        num_cpus=len(cpus.allowed),
        cpu_quota_cores=cpus.quota_cores,
        ram_bytes=limits.host_memory(proc=proc).total_bytes,
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=_versions(_PACKAGES),
    )


def torch_cuda() -> str | None:
    """Return the CUDA that the installed PyTorch was built for, `None` for none; nothing is run."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    text = cgroups.read_text(Path(found.origin).with_name("version.py")) or ""
    built = re.search(r"^cuda\b.*=\s*['\"](\d+[\d.]*)['\"]", text, re.MULTILINE)
    return None if built is None else built[1]


def machine_class(machine: Machine) -> str:
    """Return a slug under which profiles are interchangeable: GPU, memory and power, or the CPU.

    The first GPU counts: a trial trains on one.
    """
    if machine.gpus:
        return gpu_class(machine.gpus[0])
    return _slug(f"{machine.cpu_model}-{machine.num_cpus}cpu")


def gpu_class(gpu: Gpu) -> str:
    """Return the class of a machine with this GPU."""
    power = "" if gpu.power_limit_w is None else f"-{gpu.power_limit_w:.0f}w"
    return _slug(f"{gpu.name}-{round(gpu.memory_bytes / 2**30)}gb{power}")


def frameworks(machine: Machine) -> dict[str, str]:
    """Return the versions of the frameworks, on which speeds depend."""
    return {name: machine.versions[name] for name in _FRAMEWORKS if name in machine.versions}


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


def _driver_version(driver: Any) -> str | None:
    version = nvml.ask(driver, "nvmlSystemGetDriverVersion")
    return None if version is None else nvml.text(version)


def _cuda_version(driver: Any) -> str | None:
    """Return the newest CUDA that the driver runs; `None` also where libcuda.so is not there.

    The query's first form then returns the CUDA that NVML was built with.
    """
    number = nvml.ask(driver, "nvmlSystemGetCudaDriverVersion_v2")
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


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
