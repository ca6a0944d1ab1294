"""The device of the trials: a GPU or the CPU, what keeps it from being used, and its memory. Pure.

A GPU that is there is used; if it cannot be, that is a problem, and never the CPU in silence.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from cluster.errors import UserError
from cluster.node import jax_extra, nvml, thread_env
from cluster.node.jax_extra import NvidiaDriver
from cluster.node.thread_env import POOL_FRACTIONS, Framework, Platform
from cluster.pages import units
from tune.preflight.findings import Device, Findings, Problem

SHARED_SHARE = 0.6
"""Share of free memory that trials may use where device and host have one: the rest is the host's
own copies."""
_POOL_SHARE = 0.95  # of XLA's pool, which blocks never fill exactly
_HELD_SHARE = 0.1  # of a GPU's memory; driver and desktop hold less
_CUDA_NEEDS_BYTES = units.GIB
"""Free memory of a GPU without which no trial runs. On an H100 with 1.8 GiB free CUDA took 0.5 GiB,
and trials ran in the rest; with 0.2 GiB CUDA did not start (benchmarks/gpu)."""
_OR_CPU = "or search on the CPU with --device cpu."


def with_idle_first(findings: Findings) -> tuple[Findings, list[str]]:
    """Return the findings with the GPU first that trials take, and what a person should know.

    It is the first that CUDA shows; where another program holds that one, the next of its kind that
    is idle. What is measured then is the same, and no one is in the way.
    """
    gpus, held = findings.machine.gpus, [_is_held(findings, i) for i in range(_num(findings))]
    if not held or not held[0] or not findings.gpu_names:
        return findings, []
    idle = [i for i, busy in enumerate(held) if not busy and gpus[i] == gpus[0]]
    if not idle:
        return findings, []
    order = [idle[0], *(i for i in range(len(gpus)) if i != idle[0])]
    names = findings.gpu_names
    moved = dataclasses.replace(
        findings,
        machine=dataclasses.replace(findings.machine, gpus=tuple(gpus[i] for i in order)),
        gpu_usage=tuple(findings.gpu_usage[i] for i in order),
        gpu_names=tuple(names[i] for i in order),
        gpu_capabilities=tuple(findings.gpu_capabilities[i] for i in order),
    )
    note = f"another program holds memory of GPU {names[0]}: trials run on GPU {names[idle[0]]}."
    return moved, [note]


def platform_of(
    device: Device, findings: Findings, framework: Framework
) -> tuple[Platform, list[Problem], list[str]]:
    """Return the platform of the trials, with problems and warnings."""
    machine, hidden = findings.machine, findings.hidden_gpus
    warnings: list[str] = []
    if device == "cpu":
        return "cpu", _package_problems("cpu", findings, framework), warnings
    unusable = _unusable(findings)
    if unusable is not None:
        return "cuda", [unusable], warnings
    if device == "auto" and not machine.gpus:
        if hidden:
            warnings.append("CUDA_VISIBLE_DEVICES hides the GPU: trials run on the CPU.")
        elif findings.has_device_without_driver:
            warnings.append(
                "/dev/nvidia0 is there and NVML, the driver's library, is not: trials run on the "
                "CPU. A container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility."
            )
        return "cpu", _package_problems("cpu", findings, framework), warnings
    if not machine.gpus:
        got = "CUDA_VISIBLE_DEVICES hides it" if hidden else "NVML, the NVIDIA driver, shows none"
        do = "Check nvidia-smi, or search on the CPU with --device cpu."
        return "cuda", [Problem(what="--device gpu needs a GPU", got=got, do=do)], warnings
    faults = findings.gpu_faults.items()
    warnings += [f"GPU {name} does not answer ({why})." for name, why in faults]
    if findings.unknown_gpu is not None:
        warnings.append(f"CUDA_VISIBLE_DEVICES names {findings.unknown_gpu}, which no GPU is.")
    if len(set(machine.gpus)) > 1:
        names = ", ".join(gpu.name for gpu in machine.gpus)
        warnings.append(f"the GPUs differ ({names}): pick one with CUDA_VISIBLE_DEVICES.")
    return "cuda", _package_problems("cuda", findings, framework), warnings


def pool_problems(environ: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with the person's share of the GPU for XLA's pool: trials die of it."""
    given = {name: environ[name] for name in POOL_FRACTIONS if environ.get(name)}
    if len(given) > 1:
        names = " and ".join(given)
        do = f"Unset {POOL_FRACTIONS[1]}, the older one."
        return [Problem(what="jaxlib takes one share of the GPU", got=f"{names} are set", do=do)]
    return [
        Problem(
            what=f"{name} must be a number above 0 and at most 1",
            got=repr(text),
            do="Write 80 % as 0.8, or unset it.",
        )
        for name, text in given.items()
        if _fraction(text) is None
    ]


def taken_problems(findings: Findings) -> list[Problem]:
    """Return that other programs leave no memory of the GPU, if so."""
    if not findings.machine.gpus:
        return []
    free = free_bytes(findings)
    if free >= _CUDA_NEEDS_BYTES:
        return []
    total_bytes = findings.machine.gpus[0].memory_bytes
    got = f"{units.size(free)} of {units.size(total_bytes)} are free"
    do = "End the program that holds it; nvidia-smi names it."
    return [Problem(what="no trial fits into the GPU's memory", got=got, do=do)]


def held_warnings(findings: Findings) -> list[str]:
    """Return that another program holds memory of the GPU, if so."""
    if not findings.machine.gpus or not _is_held(findings, 0):
        return []
    held_bytes = findings.machine.gpus[0].memory_bytes - free_bytes(findings)
    return [
        f"another program holds {units.size(held_bytes)} of the GPU's memory; where it computes, "
        "it takes time from what is measured."
    ]


def device_bytes(findings: Findings, platform: Platform, environ: Mapping[str, str]) -> int:
    """Return the device memory that trials may use, where no --memory-budget was given."""
    if platform == "cpu" or not findings.machine.gpus:
        return int(findings.host_memory.available_bytes * SHARED_SHARE)
    if has_host_memory(findings) and not any(environ.get(name) for name in POOL_FRACTIONS):
        return int(free_bytes(findings) * SHARED_SHARE * _POOL_SHARE)
    return pool_bytes(free_bytes(findings), environ)


def pool_bytes(free: int, environ: Mapping[str, str]) -> int:
    """Return what a trial may use of a GPU with `free` bytes: XLA's pool, nearly all."""
    given = (_fraction(environ.get(name, "")) for name in POOL_FRACTIONS)
    fraction = next(filter(None, given), thread_env.DEVICE_POOL_FRACTION)
    return int(free * fraction * _POOL_SHARE)


def variables(findings: Findings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a trial on this machine's GPU is told of it: which one, and its share."""
    told = {nvml.VISIBLE: findings.gpu_names[0]} if findings.gpu_names else {}
    if has_host_memory(findings) and not any(environ.get(name) for name in POOL_FRACTIONS):
        told[POOL_FRACTIONS[1]] = str(SHARED_SHARE)
    return told


def free_bytes(findings: Findings) -> int:
    """Return the free memory of the first GPU."""
    if findings.gpu_usage:
        return findings.gpu_usage[0].memory_free_bytes
    return findings.machine.gpus[0].memory_bytes


def has_host_memory(findings: Findings) -> bool:
    """Return whether the first GPU's memory is the host's own."""
    return bool(findings.gpu_usage) and findings.gpu_usage[0].has_host_memory


def _num(findings: Findings) -> int:
    return min(len(findings.machine.gpus), len(findings.gpu_usage))


def _is_held(findings: Findings, index: int) -> bool:
    if index >= _num(findings) or findings.gpu_usage[index].has_host_memory:
        return False
    total_bytes = findings.machine.gpus[index].memory_bytes
    return total_bytes - findings.gpu_usage[index].memory_free_bytes > _HELD_SHARE * total_bytes


def _unusable(findings: Findings) -> Problem | None:
    """Return why no GPU can be used, though there is one, or one was named."""
    if findings.driver_fault is not None:
        return Problem(
            what="the NVIDIA driver does not answer",
            got=findings.driver_fault.removesuffix("."),
            do="After an update of the driver restart the machine, or the container, until "
            f"nvidia-smi shows the GPU; {_OR_CPU}",
        )
    if findings.machine.gpus:
        return None
    for name, why in findings.gpu_faults.items():
        return Problem(
            what=f"GPU {name} cannot be used",
            got=why,
            do="Restart the machine, or give the container all of the GPU, until nvidia-smi shows "
            f"its memory; {_OR_CPU}",
        )
    if findings.unknown_gpu is not None:
        return Problem(
            what="CUDA_VISIBLE_DEVICES names no GPU of this machine",
            got=findings.unknown_gpu,
            do=f"nvidia-smi -L lists them: name one, {_OR_CPU}",
        )
    return None


def _package_problems(
    platform: Platform, findings: Findings, framework: Framework
) -> list[Problem]:
    """Return what is wrong with the packages: without its GPU part a framework runs on the CPU."""
    machine = findings.machine
    if platform == "cuda" and machine.cuda_driver_version is None:
        do = "A container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility."
        return [Problem(what="CUDA is missing", got="the driver has no libcuda.so", do=do)]
    if framework == "any":
        return []  # a command has packages of its own
    if framework == "torch":
        return _torch_problems(platform, findings)
    extra = "cpu"
    if platform == "cuda":
        try:
            extra = _jax_extra(findings)
        except UserError as error:
            got = str(error).removesuffix(".")
            return [Problem(what="JAX does not run here", got=got, do=f"O{_OR_CPU[1:]}")]
    do = f"Run: pip install -e '.[{extra}]' (make tune does it too)"
    if "jax" not in machine.versions or "jaxlib" not in machine.versions:
        return [Problem(what="JAX is missing", got="jax or jaxlib is not installed", do=do)]
    plugins = [name for name in machine.versions if name.startswith("jax-cuda")]
    if extra == "cpu" or any(_runs_on(name, extra) for name in plugins):
        return []
    gpu = machine.gpus[0].name
    got = f"there is a GPU ({gpu}), and {' and '.join(plugins) or 'no CUDA plugin'} of JAX"
    what = f"JAX would not use the GPU under driver {machine.driver_version}"
    return [Problem(what=what, got=got, do=f"{do}, {_OR_CPU}")]


def _torch_problems(platform: Platform, findings: Findings) -> list[Problem]:
    machine = findings.machine
    version = machine.versions.get("torch")
    if version is not None and not (platform == "cuda" and version.endswith("+cpu")):
        return _torch_driver_problems(platform, findings)
    got = f"torch is {version or 'not installed'}"
    do = "Run: pip install torch"
    return [Problem(what=f"PyTorch for {platform} is missing", got=got, do=do)]


def _torch_driver_problems(platform: Platform, findings: Findings) -> list[Problem]:
    """Return that the driver is older than PyTorch's CUDA: it runs all of its own major version."""
    built, driver = findings.torch_cuda, findings.machine.cuda_driver_version
    if platform != "cuda" or built is None or driver is None:
        return []
    major = int(built.partition(".")[0])
    if major <= int(driver.partition(".")[0]):
        return []
    return [
        Problem(
            what=f"PyTorch would not use the GPU under driver {findings.machine.driver_version}",
            got=f"it is built for CUDA {built}, and the driver runs CUDA {driver}",
            do=f"Install its build for CUDA {major - 1} (pytorch.org/get-started), {_OR_CPU}",
        )
    ]


def _jax_extra(findings: Findings) -> str:
    """Return the extra for the first GPU.

    Raises:
        UserError: if there is none.
    """
    capabilities: Sequence[tuple[int, int] | None] = findings.gpu_capabilities
    driver = NvidiaDriver(
        version=findings.machine.driver_version,
        cuda=findings.machine.cuda_driver_version,
        least_capability=capabilities[0] if capabilities else None,
    )
    return jax_extra.choose(driver)


def _runs_on(plugin: str, extra: str) -> bool:
    """Return whether the driver of `extra` runs the plugin: it runs its own CUDA and older ones."""
    return int(plugin.removeprefix("jax-cuda")[:2]) <= int(extra.removeprefix("cuda"))


def _fraction(text: str) -> float | None:
    """Return the share of a GPU that the text says; `None` if it says none."""
    try:
        fraction = float(text)
    except ValueError:
        return None
    return fraction if math.isfinite(fraction) and 0.0 < fraction <= 1.0 else None
