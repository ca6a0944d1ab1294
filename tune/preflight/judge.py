"""The verdict on a machine, from its findings. Every search begins with it.

It reads the machine and starts nothing. Ray does not fail but hangs under too small a limit on
threads, so a search that cannot run must stop before Ray is imported.
"""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

from cluster.node import container, gpus, hardware, limits, nvml, ray_env, thread_env, xla_flags
from cluster.node.gpus import VisibleGpus
from cluster.node.thread_env import NoRoomError, Platform, ThreadEnv
from cluster.pages import units
from tune.preflight import device, kinds
from tune.preflight.findings import (
    Findings,
    GpuPlace,
    NotFitError,
    Preflight,
    PreflightRequest,
    Problem,
)
from tune.preflight.gpu_places import gpu_places

_HOST_SHARE = 0.85
"""Of what is free, for a trial's process tree: at 1 the kernel kills without a message."""

_LITTLE_MEMORY_BYTES = 2 * units.GIB


def check(request: PreflightRequest, *, environ: Mapping[str, str] | None = None) -> Preflight:
    """Read this machine and judge it for the request."""
    given = ray_env.as_given(os.environ if environ is None else environ)
    driver, driver_fault, seen = None, None, VisibleGpus()
    try:
        driver = nvml.load()
        seen = gpus.visible_gpus(given)
    except nvml.DriverError as error:
        # A person who hides all GPUs asks for none.
        driver_fault = None if nvml.hides_all(given) else error.reason
        driver = None
    findings = Findings(
        machine=hardware.probe(driver=driver, visible=seen),
        gpus=seen.gpus,
        gpu_faults=seen.faults,
        hidden_gpus=seen.num_hidden,
        unknown_gpu=seen.unknown,
        driver_fault=driver_fault,
        has_device_without_driver=driver is None and nvml.has_device_file(),
        affinity_refused=not limits.may_choose_cpus(),
        torch_cuda=hardware.torch_cuda(),
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
    """Judge a machine by its findings. Pure."""
    framework, share = request.framework, request.share
    unknown = kinds.class_problems(findings, request)
    asked = kinds.narrowed(findings, request)
    findings, notes = device.with_idle_first(asked)
    platform, problems, warnings = device.platform_of(request.device, findings, framework)
    problems = unknown + problems
    problems += _xla_flag_problems(environ) if framework == "jax" else []
    names = device.alike(findings) if request.num_searches == 1 else kinds.in_turns(findings)
    if platform == "cuda":
        problems += device.pool_problems(environ) if framework == "jax" else []
        problems += device.taken_problems(findings)
        warnings += notes
        if request.max_gpus != 1:
            named = [one.name for one in asked.gpus[:1]] if notes else []
            warnings += device.left_out_warnings(findings, (*names, *named))
    if share is not None:
        warnings.append(
            f"a search of {' and of '.join(share.beside)} runs on this machine at the same time: "
            "each has CPUs of its own, and all share memory bus, PCIe and power."
        )
    problems += device.count_problems(request.max_gpus, platform, names)
    if findings.affinity_refused:
        warnings.append(
            "sched_setaffinity is refused here (seccomp?): trials cannot be bound to CPUs, and "
            "variables alone cap their threads."
        )
    names = names[: request.max_gpus] if platform == "cuda" else ()
    num_parallel = len(names) if len(names) > 1 else request.num_parallel_trials
    env = alone = trial_threads = None
    gpus: tuple[GpuPlace, ...] = ()
    try:
        cap, fitting = _cap_and_places(findings, request, platform, num_parallel)
        if fitting < num_parallel:
            warnings.append(_few_places(findings, request, fitting, num_parallel))
            num_parallel, names = fitting, names[:fitting]
        env = _held(cap, findings, request, platform, environ)
        trial_threads = thread_env.expected_threads(
            env.cap, platform, framework, request.num_subprocesses, request.more_threads
        )
        warnings += env.notes
        if len(names) > 1:
            gpus = gpu_places(findings, names, env.cap)
            env = dataclasses.replace(env, cpus=gpus[0].cpus)
    except NoRoomError as error:
        problems.append(_no_room(error, request.more_threads))
        alone = _alone(findings, request, platform, environ)
    if request.dashboard and findings.missing_dashboard_packages:
        problems.append(_no_dashboard(findings.missing_dashboard_packages))
    # Each trial has a GPU to itself, but the host is shared.
    shares = num_parallel if platform == "cpu" else 1
    device_bytes = request.memory_budget_bytes or (
        device.device_bytes(findings, platform, environ, names, framework) // shares
    )
    return Preflight(
        findings=findings,
        platform=platform,
        ray_threads=_ray_threads(request, num_parallel),
        thread_env=env,
        alone=alone,
        trial_threads=trial_threads,
        device_budget_bytes=device_bytes,
        host_budget_bytes=_host_bytes(findings, request, num_parallel),
        problems=tuple(problems),
        warnings=(*warnings, *_memory_warnings(findings, platform, device_bytes)),
        gpus=gpus,
        share=share,
    )


def _held(
    cap: int,
    findings: Findings,
    request: PreflightRequest,
    platform: Platform,
    environ: Mapping[str, str],
) -> ThreadEnv:
    """Return what holds a training at `cap` here."""
    allowed = findings.cpus.allowed
    env = thread_env.build(cap, platform, allowed, environ, request.framework)
    if platform == "cpu":
        return env
    own = device.variables(findings, environ)
    return dataclasses.replace(env, variables=env.variables | own)


def _alone(
    findings: Findings,
    request: PreflightRequest,
    platform: Platform,
    environ: Mapping[str, str],
) -> ThreadEnv | None:
    """Return what holds a training that has the room to itself, as it needs no Ray; `None` where
    there is none for it either.
    """
    try:
        cap = thread_env.choose_cap(
            limits=findings.thread_limits,
            cpus=findings.cpus,
            platform=platform,
            ray_threads=0,
            framework=request.framework,
            num_subprocesses=request.num_subprocesses,
            more_threads=request.more_threads,
        )
    except NoRoomError:
        return None
    return _held(cap, findings, request, platform, environ)


def _cap_and_places(
    findings: Findings, request: PreflightRequest, platform: Platform, most: int
) -> tuple[int, int]:
    """Return the thread cap, and for how many trials side by side there is room.

    On a host of a cluster there must be room for all: Ray gives the places away.

    Raises:
        NoRoomError: if there is none.
    """
    share = request.share
    fewest = 1 if request.max_gpus != 1 else most
    for num_parallel in range(most, 0, -1):
        if num_parallel > fewest and _scarce(findings, request, num_parallel):
            continue
        try:
            cap = thread_env.choose_cap(
                limits=findings.thread_limits,
                cpus=findings.cpus,
                platform=platform,
                ray_threads=_ray_threads(request, num_parallel),
                framework=request.framework,
                num_subprocesses=request.num_subprocesses,
                more_threads=request.more_threads,
                num_parallel_trials=num_parallel,
                requested=request.thread_cap if share is None else share.thread_cap,
            )
        except NoRoomError:
            if num_parallel == fewest:
                raise
        else:
            return cap, num_parallel
    raise AssertionError("the fewest either fit or raise")


def _ray_threads(request: PreflightRequest, num_parallel: int) -> int:
    of_one = math.ceil(num_parallel / request.num_searches)
    return request.num_searches * ray_env.expected_threads(
        of_one, request.dashboard, ray_runs=request.ray_runs
    )


def _host_bytes(findings: Findings, request: PreflightRequest, num_parallel: int) -> int:
    if request.share is not None:
        return request.share.host_bytes
    return int(findings.host_memory.available_bytes * _HOST_SHARE) // num_parallel


def _scarce(findings: Findings, request: PreflightRequest, num_parallel: int) -> str | None:
    """Return of what, beside threads, there is too little for so many trials."""
    if _host_bytes(findings, request, num_parallel) < _LITTLE_MEMORY_BYTES:
        return "the host's memory"
    if num_parallel * (request.thread_cap or 1) > len(findings.cpus.allowed):
        return "the number of CPUs"
    return None


def _few_places(findings: Findings, request: PreflightRequest, fitting: int, wanted: int) -> str:
    binding = findings.thread_limits.binding
    threads = "the limit on threads" if binding is None else binding.name
    what = _scarce(findings, request, fitting + 1) or threads
    return f"{what} has room for trials on {fitting} of {wanted} GPUs: the others stay idle."


def require_fit(preflight: Preflight) -> None:
    """Require that a search can run.

    Raises:
        NotFitError: with the first problem and what to do about it.
    """
    if not preflight.fit:
        raise NotFitError(str(preflight.problems[0]))


def _xla_flag_problems(environ: Mapping[str, str]) -> list[Problem]:
    unknown = xla_flags.unknown_xla_flags(environ.get("XLA_FLAGS", ""))
    if not unknown:
        return []
    got = f"the installed jaxlib does not know --{', --'.join(unknown)}"
    what = "XLA_FLAGS of your environment would end every trial"
    return [Problem(what=what, got=got, do="Take it out of XLA_FLAGS.")]


def _no_room(error: NoRoomError, more_threads: int) -> Problem:
    remedy = error.limit.remedy.format(limit=error.smallest_limit)
    smaller = f", or take --thread-cap {error.fitting_cap}" if error.fitting_cap else ""
    return Problem(
        what=f"{error.limit.name} leaves no room for threads",
        got=f"{error.limit.limit} allowed, {error.limit.use} in use, "
        f"{error.needed_threads} more needed"
        + (f", as a trial took {more_threads} more than others do" if more_threads else ""),
        do=f"The smallest limit that would do is {error.smallest_limit}: {remedy}{smaller}.",
    )


def _no_dashboard(missing: Sequence[str]) -> Problem:
    return Problem(
        what="--dashboard needs more packages",
        got=f"{', '.join(missing)} are not installed",
        do="Run: pip install 'ray[default]'",
    )


def _memory_warnings(findings: Findings, platform: Platform, device_bytes: int) -> list[str]:
    warnings = []
    available_bytes = findings.host_memory.available_bytes
    if available_bytes < _LITTLE_MEMORY_BYTES:
        warnings.append(f"only {units.size(available_bytes)} of host memory are available.")
    if platform == "cuda" and findings.gpus:
        available_bytes = device.free_bytes(findings)
        warnings += device.held_warnings(findings)
    if device_bytes > available_bytes:
        warnings.append(
            f"the memory budget of {units.size(device_bytes)} is more than the "
            f"{units.size(available_bytes)} that are free."
        )
    return warnings
