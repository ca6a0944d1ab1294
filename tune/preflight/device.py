"""The device of the trials: a GPU or the CPU, what keeps it from being used, and its memory. Pure.

A GPU that is there is used; if it cannot be, that is a problem, and never the CPU in silence.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from cluster.node import hardware, nvml, thread_env
from cluster.node.gpus import VisibleGpu
from cluster.node.thread_env import POOL_FRACTIONS, Framework, Platform
from cluster.pages import units
from tune.preflight.findings import Device, Findings, Problem
from tune.preflight.packages import OR_CPU, package_problems

SHARED_SHARE = 0.6
"""Share of free memory that trials may use where device and host have one: the rest is the host's
own copies."""
_POOL_SHARE = 0.95  # of XLA's pool, which blocks never fill exactly
_COMMAND_SHARE = 0.98  # of what is free: a command has no pool of ours, and all it takes counts
_HELD_SHARE = 0.1  # of a GPU's memory; driver and desktop hold less
_CUDA_NEEDS_BYTES = units.GIB
"""Free memory of a GPU without which no trial runs. On an H100 with 1.8 GiB free CUDA took 0.5 GiB,
and trials ran in the rest; with 0.2 GiB CUDA did not start (benchmarks/gpu)."""


def with_idle_first(findings: Findings) -> tuple[Findings, list[str]]:
    """Return the findings with the GPU first that trials take, and what a person should know.

    It is the first that CUDA shows; where another program holds that one, the next of its kind that
    is idle. What is measured then is the same, and no one is in the way.
    """
    if not findings.gpus or not is_held(findings.gpus[0]):
        return findings, []
    first, *others = findings.gpus
    idle = next((one for one in others if not is_held(one) and _are_alike(one, first)), None)
    if idle is None:
        return findings, []
    moved = findings.of_gpus([idle, *(one for one in findings.gpus if one is not idle)])
    note = f"another program holds memory of GPU {first.name}: trials run on GPU {idle.name}."
    return moved, [note]


def platform_of(
    device: Device, findings: Findings, framework: Framework
) -> tuple[Platform, list[Problem], list[str]]:
    """Return the platform of the trials, with problems and warnings."""
    machine, hidden = findings.machine, findings.hidden_gpus
    warnings: list[str] = []
    if device == "cpu":
        return "cpu", package_problems("cpu", findings, framework), warnings
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
        return "cpu", package_problems("cpu", findings, framework), warnings
    if not machine.gpus:
        got = "CUDA_VISIBLE_DEVICES hides it" if hidden else "NVML, the NVIDIA driver, shows none"
        do = "Check nvidia-smi, or search on the CPU with --device cpu."
        return "cuda", [Problem(what="--device gpu needs a GPU", got=got, do=do)], warnings
    faults = findings.gpu_faults.items()
    warnings += [f"GPU {name} does not answer ({why})." for name, why in faults]
    if findings.unknown_gpu is not None:
        warnings.append(f"CUDA_VISIBLE_DEVICES names {findings.unknown_gpu}, which no GPU is.")
    kinds = dict.fromkeys(map(hardware.gpu_class, machine.gpus))  # names may be the same
    if len(kinds) > 1:
        warnings.append(
            f"the GPUs differ ({', '.join(kinds)}), and this is about the first kind. Without "
            "--gpus each kind is searched, at the same time; --machine-class chooses one."
        )
    return "cuda", package_problems("cuda", findings, framework), warnings


def alike(findings: Findings) -> tuple[str, ...]:
    """Return the names of the first GPU and of all of its kind that no other program holds."""
    if not findings.gpus:
        return ()
    first, *others = findings.gpus
    idle = (one for one in others if not is_held(one) and _are_alike(one, first))
    return (first.name, *(one.name for one in idle))


def count_problems(wanted: int | None, platform: Platform, names: Sequence[str]) -> list[Problem]:
    """Return that --gpus asks for more than there are, if so."""
    num_gpus = len(names) if platform == "cuda" else 0
    if wanted is None or wanted <= max(num_gpus, 1):
        return []
    got = f"{num_gpus} of one kind that no other program holds" if num_gpus else "none"
    do = f"Take --gpus {num_gpus}, or leave it out." if num_gpus else "Leave it out."
    return [Problem(what=f"--gpus {wanted} are not there", got=got, do=do)]


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
    if not findings.gpus:
        return []
    free = free_bytes(findings)
    if free >= _CUDA_NEEDS_BYTES:
        return []
    total_bytes = findings.gpus[0].gpu.memory_bytes
    got = f"{units.size(free)} of {units.size(total_bytes)} are free"
    do = "End the program that holds it; nvidia-smi names it."
    return [Problem(what="no trial fits into the GPU's memory", got=got, do=do)]


def held_warnings(findings: Findings) -> list[str]:
    """Return that another program holds memory of the GPU, if so."""
    return [
        f"another program holds {units.size(_held_bytes(one))} of the GPU's memory; where it "
        "computes, it takes time from what is measured."
        for one in findings.gpus[:1]
        if is_held(one)
    ]


def left_out_warnings(findings: Findings, others: Collection[str]) -> list[str]:
    """Return which GPUs take no trials for what other programs hold of them; `others` take them all
    the same, or are named elsewhere.
    """
    return [
        f"another program holds {units.size(_held_bytes(one))} of GPU {one.name}: it is left out."
        for one in findings.gpus
        if one.name not in others and is_held(one)
    ]


def device_bytes(
    findings: Findings,
    platform: Platform,
    environ: Mapping[str, str],
    names: Collection[str] = (),
    framework: Framework = "jax",
) -> int:
    """Return the device memory that trials may use, where no --memory-budget was given.

    It is that of the first GPU, or what all GPUs of these names have.
    """
    if platform == "cpu" or not findings.gpus:
        return int(findings.host_memory.available_bytes * SHARED_SHARE)
    free = [one.usage.memory_free_bytes for one in findings.gpus if one.name in names]
    least_bytes = min([free_bytes(findings), *free])
    if has_host_memory(findings) and not any(environ.get(name) for name in POOL_FRACTIONS):
        return int(least_bytes * SHARED_SHARE * _POOL_SHARE)
    if framework == "any":
        return int(least_bytes * _COMMAND_SHARE)
    return pool_bytes(least_bytes, environ)


def pool_bytes(free: int, environ: Mapping[str, str]) -> int:
    """Return what a trial may use of a GPU with `free` bytes: XLA's pool, nearly all."""
    given = (_fraction(environ.get(name, "")) for name in POOL_FRACTIONS)
    fraction = next(filter(None, given), thread_env.DEVICE_POOL_FRACTION)
    return int(free * fraction * _POOL_SHARE)


def variables(findings: Findings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a trial on this machine's GPU is told of it: which one, and its share."""
    told = {nvml.VISIBLE: findings.gpus[0].name} if findings.gpus else {}
    if has_host_memory(findings) and not any(environ.get(name) for name in POOL_FRACTIONS):
        told[POOL_FRACTIONS[1]] = str(SHARED_SHARE)
    return told


def free_bytes(findings: Findings) -> int:
    """Return the free memory of the first GPU."""
    return findings.gpus[0].usage.memory_free_bytes


def has_host_memory(findings: Findings) -> bool:
    """Return whether the first GPU's memory is the host's own."""
    return bool(findings.gpus) and findings.gpus[0].usage.has_host_memory


def is_held(one: VisibleGpu) -> bool:
    """Return whether more of a GPU's memory is held than driver and desktop hold."""
    is_much = _held_bytes(one) > _HELD_SHARE * one.gpu.memory_bytes
    return is_much and not one.usage.has_host_memory


def _held_bytes(one: VisibleGpu) -> int:
    return one.gpu.memory_bytes - one.usage.memory_free_bytes


def _are_alike(one: VisibleGpu, other: VisibleGpu) -> bool:
    return hardware.gpu_class(one.gpu) == hardware.gpu_class(other.gpu)


def _unusable(findings: Findings) -> Problem | None:
    """Return why no GPU can be used, though there is one, or one was named."""
    if findings.driver_fault is not None:
        return Problem(
            what="the NVIDIA driver does not answer",
            got=findings.driver_fault.removesuffix("."),
            do="After an update of the driver restart the machine, or the container, until "
            f"nvidia-smi shows the GPU; {OR_CPU}",
        )
    if findings.gpus:
        return None
    for name, why in findings.gpu_faults.items():
        return Problem(
            what=f"GPU {name} cannot be used",
            got=why,
            do="Restart the machine, or give the container all of the GPU, until nvidia-smi shows "
            f"its memory; {OR_CPU}",
        )
    if findings.unknown_gpu is not None:
        return Problem(
            what="CUDA_VISIBLE_DEVICES names no GPU of this machine",
            got=findings.unknown_gpu,
            do=f"nvidia-smi -L lists them: name one, {OR_CPU}",
        )
    return None


def _fraction(text: str) -> float | None:
    """Return the share of a GPU that the text says; `None` if it says none."""
    try:
        fraction = float(text)
    except ValueError:
        return None
    return fraction if math.isfinite(fraction) and 0.0 < fraction <= 1.0 else None
