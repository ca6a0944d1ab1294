"""The verdict on a machine, from its findings. Every search begins with it.

It reads the machine and starts nothing. Ray does not fail but hangs under too small a limit on
threads, so a search that cannot run must stop before Ray is imported.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from cluster.errors import UserError
from cluster.node import container, hardware, limits, ray_env, thread_env
from cluster.node.hardware import Machine
from cluster.node.thread_env import Framework, NoRoomError, Platform
from cluster.pages import units
from tune.preflight.findings import (
    Device,
    Findings,
    NotFitError,
    Preflight,
    PreflightRequest,
    Problem,
)

_CPU_DEVICE_SHARE = 0.6  # of the free RAM; the rest is for the host's own copies
_HOST_SHARE = (
    0.85  # of what is free, for a trial's process tree; at 1 the kernel kills without a message
)
_POOL_SHARE = 0.95  # of XLA's pool, which blocks never fill exactly
_HELD_SHARE = 0.1  # of a GPU's memory; driver and desktop hold less
_LITTLE_MEMORY_BYTES = 2 * units.GIB
_CUDA_NEEDS_BYTES = units.GIB
"""Free memory of a GPU without which no trial runs. On an H100 with 1.8 GiB free CUDA took 0.5 GiB,
and trials ran in the rest; with 0.2 GiB CUDA did not start (benchmarks/gpu)."""


def check(request: PreflightRequest, *, environ: Mapping[str, str] | None = None) -> Preflight:
    """Read this machine and judge it for the request."""
    given = ray_env.as_given(os.environ if environ is None else environ)
    machine, usage = hardware.probe(), hardware.gpu_usage() or {}
    visible = hardware.visible_gpus(len(machine.gpus), given)
    gpus = tuple(machine.gpus[index] for index in visible)
    findings = Findings(
        machine=dataclasses.replace(machine, gpus=gpus),
        gpu_usage=tuple(usage[index] for index in visible),
        hidden_gpus=len(machine.gpus) - len(visible),
        thread_limits=limits.threads(),
        cpus=limits.cpus(),
        host_memory=limits.host_memory(),
        container=container.container(environ=given),
        missing_dashboard_packages=tuple(ray_env.missing_dashboard_packages()),
    )
    return judge(findings, request, environ=given)


def judge(
    findings: Findings, request: PreflightRequest, *, environ: Mapping[str, str]
) -> Preflight:
    """Judge a machine by its findings. Pure.

    Raises:
        UserError: if a variable of `environ` cannot be read.
    """
    framework, num_parallel = request.framework, request.num_parallel_trials
    platform, problems, warnings = _platform(request.device, findings, framework)
    problems += _xla_flag_problems(environ) if framework == "jax" else []
    problems += _taken_gpu_problems(findings, platform)
    ray_threads = ray_env.expected_threads(
        num_parallel, request.dashboard, ray_runs=request.ray_runs
    )
    env = trial_threads = None
    try:
        cap = thread_env.choose_cap(
            limits=findings.thread_limits,
            cpus=findings.cpus,
            platform=platform,
            ray_threads=ray_threads,
            framework=framework,
            num_subprocesses=request.num_subprocesses,
            num_parallel_trials=num_parallel,
            requested=request.thread_cap,
        )
        env = thread_env.build(cap, platform, findings.cpus.allowed, environ, framework)
        trial_threads = thread_env.expected_threads(
            env.cap, platform, framework, request.num_subprocesses
        )
        warnings += env.notes
    except NoRoomError as error:
        problems.append(_no_room(error))
    if request.dashboard and findings.missing_dashboard_packages:
        problems.append(_no_dashboard(findings.missing_dashboard_packages))
    # Each trial has a GPU to itself, but the host is shared.
    shares = num_parallel if platform == "cpu" else 1
    device_bytes = (
        request.memory_budget_bytes or _device_bytes(findings, platform, environ) // shares
    )
    host_bytes = int(findings.host_memory.available_bytes * _HOST_SHARE) // num_parallel
    return Preflight(
        findings=findings,
        platform=platform,
        ray_threads=ray_threads,
        thread_env=env,
        trial_threads=trial_threads,
        device_budget_bytes=device_bytes,
        host_budget_bytes=host_bytes,
        problems=tuple(problems),
        warnings=(*warnings, *_memory_warnings(findings, platform, device_bytes)),
    )


def require_fit(preflight: Preflight) -> None:
    """Require that a search can run.

    Raises:
        NotFitError: with the first problem and what to do about it.
    """
    if not preflight.fit:
        raise NotFitError(str(preflight.problems[0]))


def _platform(
    device: Device, findings: Findings, framework: Framework
) -> tuple[Platform, list[Problem], list[str]]:
    """Return the platform of the trials, with problems and warnings.

    A GPU that is there is used; if it cannot be, that is a problem.
    """
    machine, hidden, warnings = findings.machine, findings.hidden_gpus, []
    if device == "cpu" or (device == "auto" and not machine.gpus):
        if hidden and device == "auto":
            warnings.append("CUDA_VISIBLE_DEVICES hides the GPU: trials run on the CPU.")
        return "cpu", _package_problems("cpu", machine, framework), warnings
    if not machine.gpus:
        got = "CUDA_VISIBLE_DEVICES hides it" if hidden else "NVML, the NVIDIA driver, shows none"
        do = "Check nvidia-smi, or search on the CPU with --device cpu."
        return "cuda", [Problem(what="--device gpu needs a GPU", got=got, do=do)], warnings
    if len(set(machine.gpus)) > 1:
        names = ", ".join(gpu.name for gpu in machine.gpus)
        warnings.append(f"the GPUs differ ({names}): pick one with CUDA_VISIBLE_DEVICES.")
    return "cuda", _package_problems("cuda", machine, framework), warnings


def _package_problems(platform: Platform, machine: Machine, framework: Framework) -> list[Problem]:
    """Return what is wrong with the packages: without its GPU part a framework runs on the CPU."""
    if framework == "any":
        return []  # a command has packages of its own
    if framework == "torch":
        version = machine.versions.get("torch")
        if version is None or (platform == "cuda" and version.endswith("+cpu")):
            got = f"torch is {version or 'not installed'}"
            do = "Run: pip install torch"
            return [Problem(what=f"PyTorch for {platform} is missing", got=got, do=do)]
        return []
    extra = "cpu"
    if platform == "cuda":
        major = int((machine.cuda_driver_version or "12").partition(".")[0])
        extra = "cuda13" if major >= 13 else "cuda12"
    do = f"Run: pip install -e '.[{extra}]' (make tune does it too)"
    if "jax" not in machine.versions or "jaxlib" not in machine.versions:
        return [Problem(what="JAX is missing", got="jax or jaxlib is not installed", do=do)]
    plugins = [name for name in machine.versions if name.startswith("jax-cuda")]
    usable = extra == "cpu" or any(_runs_on(name, extra) for name in plugins)
    if usable:
        return []
    gpu = machine.gpus[0].name
    got = f"there is a GPU ({gpu}), and {' and '.join(plugins) or 'no CUDA plugin'} of JAX"
    what = f"JAX would not use the GPU under driver {machine.driver_version}"
    return [Problem(what=what, got=got, do=f"{do}, or search on the CPU with --device cpu.")]


def _runs_on(plugin: str, extra: str) -> bool:
    """Return whether the driver of `extra` runs the plugin: it runs its own CUDA and older ones."""
    return int(plugin.removeprefix("jax-cuda")[:2]) <= int(extra.removeprefix("cuda"))


def _xla_flag_problems(environ: Mapping[str, str]) -> list[Problem]:
    unknown = thread_env.unknown_xla_flags(environ.get("XLA_FLAGS", ""))
    if not unknown:
        return []
    got = f"the installed jaxlib does not know --{', --'.join(unknown)}"
    what = "XLA_FLAGS of your environment would end every trial"
    return [Problem(what=what, got=got, do="Take it out of XLA_FLAGS.")]


def _taken_gpu_problems(findings: Findings, platform: Platform) -> list[Problem]:
    if platform != "cuda" or not findings.machine.gpus:
        return []
    free_bytes = _free_bytes(findings)
    if free_bytes >= _CUDA_NEEDS_BYTES:
        return []
    total_bytes = findings.machine.gpus[0].memory_bytes
    got = f"{units.size(free_bytes)} of {units.size(total_bytes)} are free"
    do = "End the program that holds it; nvidia-smi names it."
    return [Problem(what="no trial fits into the GPU's memory", got=got, do=do)]


def _no_room(error: NoRoomError) -> Problem:
    remedy = error.limit.remedy.format(limit=error.smallest_limit)
    smaller = f", or take --thread-cap {error.fitting_cap}" if error.fitting_cap else ""
    return Problem(
        what=f"{error.limit.name} leaves no room for threads",
        got=f"{error.limit.limit} allowed, {error.limit.use} in use, "
        f"{error.needed_threads} more needed",
        do=f"The smallest limit that would do is {error.smallest_limit}: {remedy}{smaller}.",
    )


def _no_dashboard(missing: Sequence[str]) -> Problem:
    return Problem(
        what="--dashboard needs more packages",
        got=f"{', '.join(missing)} are not installed",
        do="Run: pip install 'ray[default]'",
    )


def _device_bytes(findings: Findings, platform: Platform, environ: Mapping[str, str]) -> int:
    """Return the device memory that trials may use, where no --memory-budget was given."""
    if platform == "cpu" or not findings.machine.gpus:
        return int(findings.host_memory.available_bytes * _CPU_DEVICE_SHARE)
    return pool_bytes(_free_bytes(findings), environ)


def pool_bytes(free_bytes: int, environ: Mapping[str, str]) -> int:
    """Return what a trial may use of a GPU with so much free memory: XLA's pool, nearly all."""
    return int(free_bytes * _pool_fraction(environ) * _POOL_SHARE)


def _free_bytes(findings: Findings) -> int:
    """Return the free memory of the first GPU."""
    if findings.gpu_usage:
        return findings.gpu_usage[0].memory_free_bytes
    return findings.machine.gpus[0].memory_bytes


def _memory_warnings(findings: Findings, platform: Platform, device_bytes: int) -> list[str]:
    warnings = []
    available_bytes = findings.host_memory.available_bytes
    if available_bytes < _LITTLE_MEMORY_BYTES:
        warnings.append(f"only {units.size(available_bytes)} of host memory are available.")
    if platform == "cuda" and findings.machine.gpus:
        available_bytes = _free_bytes(findings)
        held_bytes = findings.machine.gpus[0].memory_bytes - available_bytes
        if held_bytes > _HELD_SHARE * findings.machine.gpus[0].memory_bytes:
            warnings.append(
                f"another program holds {units.size(held_bytes)} of the GPU's memory; where it "
                "computes, it takes time from what is measured."
            )
    if device_bytes > available_bytes:
        warnings.append(
            f"the memory budget of {units.size(device_bytes)} is more than the "
            f"{units.size(available_bytes)} that are free."
        )
    return warnings


def _pool_fraction(environ: Mapping[str, str]) -> float:
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        if environ.get(name):
            try:
                return float(environ[name])
            except ValueError:
                raise UserError(f"{name} must be a number, got {environ[name]!r}.") from None
    return thread_env.DEVICE_POOL_FRACTION
