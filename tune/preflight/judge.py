"""What this machine allows, and why: python -m tune.preflight

The head of every search. It reads, and starts nothing: under too small a limit on threads Ray does
not fail but hangs, so a search that cannot run has to stop before Ray is imported.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from cluster.node import hardware, limits, ray_env, thread_env
from cluster.node.hardware import GpuUsage, Machine
from cluster.node.limits import Container, Cpus, MemoryLimit, ThreadLimits
from cluster.node.stdout import until_unread
from cluster.node.thread_env import Framework, NoRoomError, Platform, ThreadEnv
from tune.preflight import view as preflight_view
from tune.preflight.view import format_gib

Device = Literal["auto", "cpu", "gpu"]

_GIB = 2**30
_CPU_DEVICE_SHARE = 0.6  # of the RAM that is available: the rest is for the host's own copies
_HOST_SHARE = 0.85  # a trial's whole tree; the kernel kills without a word at 1
_POOL_SHARE = 0.95  # of XLA's pool: the allocator's blocks never tile it exactly
_HELD_SHARE = 0.1  # of a GPU's memory; the driver and a desktop hold less
_LITTLE_MEMORY_BYTES = 2 * _GIB


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why no search can run: what is wrong, what was found, and the one thing to change."""

    what: str
    got: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}: {self.got}. {self.do}"


class NotFitError(ValueError):
    """This machine cannot run the search; the message says what to change."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was read off the machine; the verdict is computed from it alone.

    `machine` has the GPUs that CUDA_VISIBLE_DEVICES leaves, `gpu_usage` theirs in the same order;
    `hidden_gpus` counts the others.
    """

    machine: Machine
    gpu_usage: tuple[GpuUsage, ...]
    hidden_gpus: int
    thread_limits: ThreadLimits
    cpus: Cpus
    host_memory: MemoryLimit
    container: Container | None
    missing_dashboard_packages: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The verdict on a machine, and what a search there may use.

    `thread_env` and `trial_threads` are `None` if not even one thread per trial fits.
    `device_budget_bytes` bounds a trial's device memory (on a CPU: its program's buffers),
    `host_budget_bytes` the resident memory of its process tree.
    """

    findings: Findings
    platform: Platform
    ray_threads: int
    thread_env: ThreadEnv | None
    trial_threads: int | None
    device_budget_bytes: int
    host_budget_bytes: int
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Whether a search can run."""
        return not self.problems

    @property
    def machine(self) -> Machine:
        """The fingerprint that a profile carries."""
        return self.findings.machine


def check(
    *,
    device: Device = "auto",
    thread_cap: int | None = None,
    memory_budget_bytes: int | None = None,
    framework: Framework = "jax",
    num_subprocesses: int = 0,
    num_parallel_trials: int = 1,
    dashboard: bool = False,
    ray_runs: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Preflight:
    """Read this machine and judge it for a search with these options.

    `ray_runs` says that this is a host of a cluster, whose Ray has been counted when it joined.

    Raises:
        ValueError: if an option makes no sense on any machine.
    """
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
        container=limits.container(environ=given),
        missing_dashboard_packages=tuple(ray_env.missing_dashboard_packages()),
    )
    return judge(
        findings,
        device=device,
        thread_cap=thread_cap,
        memory_budget_bytes=memory_budget_bytes,
        framework=framework,
        num_subprocesses=num_subprocesses,
        num_parallel_trials=num_parallel_trials,
        dashboard=dashboard,
        ray_runs=ray_runs,
        environ=given,
    )


def judge(
    findings: Findings,
    *,
    device: Device = "auto",
    thread_cap: int | None = None,
    memory_budget_bytes: int | None = None,
    framework: Framework = "jax",
    num_subprocesses: int = 0,
    num_parallel_trials: int = 1,
    dashboard: bool = False,
    ray_runs: bool = False,
    environ: Mapping[str, str],
) -> Preflight:
    """Judge a machine by what was read off it. Pure; `check` has the same options.

    Raises:
        ValueError: if an option makes no sense on any machine.
    """
    for name, value in (("--thread-cap", thread_cap), ("--memory-budget", memory_budget_bytes)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    platform, problems, warnings = _platform(device, findings, framework)
    problems += _xla_flag_problems(environ) if framework == "jax" else []
    ray_threads = ray_env.expected_threads(num_parallel_trials, dashboard, ray_runs=ray_runs)
    env = trial_threads = None
    try:
        cap = thread_env.choose_cap(
            limits=findings.thread_limits,
            cpus=findings.cpus,
            platform=platform,
            ray_threads=ray_threads,
            framework=framework,
            num_subprocesses=num_subprocesses,
            num_parallel_trials=num_parallel_trials,
            requested=thread_cap,
        )
        env = thread_env.build(cap, platform, findings.cpus.allowed, environ, framework)
        trial_threads = thread_env.expected_threads(env.cap, platform, framework, num_subprocesses)
        warnings += env.notes
    except NoRoomError as error:
        problems.append(_no_room(error))
    if dashboard and findings.missing_dashboard_packages:
        problems.append(_no_dashboard(findings.missing_dashboard_packages))
    # Each trial has a GPU to itself, but the host is shared.
    shares = num_parallel_trials if platform == "cpu" else 1
    device_bytes = memory_budget_bytes or _device_bytes(findings, platform, environ) // shares
    host_bytes = int(findings.host_memory.available_bytes * _HOST_SHARE) // num_parallel_trials
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
    """Stop here unless a search can run.

    Raises:
        NotFitError: with the first problem and what to do about it.
    """
    if not preflight.fit:
        raise NotFitError(str(preflight.problems[0]))


def parse_bytes(text: str) -> int:
    """Parse `8GiB`, `500MB` or `123456` (bytes).

    Raises:
        ValueError: if the text is no positive size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise ValueError(f"a size reads like 8GiB or 500MB, got {text!r}.")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _platform(
    device: Device, findings: Findings, framework: Framework
) -> tuple[Platform, list[Problem], list[str]]:
    """Decide where trials run. A GPU that is there is used, or the reason is a problem."""
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
    """Judge by the packages: a framework without its GPU part runs on the CPU silently."""
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
    """A driver runs its own CUDA and older ones."""
    return int(plugin.removeprefix("jax-cuda")[:2]) <= int(extra.removeprefix("cuda"))


def _xla_flag_problems(environ: Mapping[str, str]) -> list[Problem]:
    unknown = thread_env.unknown_xla_flags(environ.get("XLA_FLAGS", ""))
    if not unknown:
        return []
    got = f"the installed jaxlib does not know --{', --'.join(unknown)}"
    what = "XLA_FLAGS of your environment would end every trial"
    return [Problem(what=what, got=got, do="Take it out of XLA_FLAGS.")]


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
    """Return the device memory that trials may use, without a person's own budget."""
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
        warnings.append(f"only {format_gib(available_bytes)} of host memory are available.")
    if platform == "cuda" and findings.machine.gpus:
        available_bytes = _free_bytes(findings)
        held_bytes = findings.machine.gpus[0].memory_bytes - available_bytes
        if held_bytes > _HELD_SHARE * findings.machine.gpus[0].memory_bytes:
            warnings.append(
                f"another program holds {format_gib(held_bytes)} of the GPU's memory, and will "
                "take time from what is measured."
            )
    if device_bytes > available_bytes:
        warnings.append(
            f"the memory budget of {format_gib(device_bytes)} is more than the "
            f"{format_gib(available_bytes)} that are free."
        )
    return warnings


def _pool_fraction(environ: Mapping[str, str]) -> float:
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        if environ.get(name):
            try:
                return float(environ[name])
            except ValueError:
                raise ValueError(f"{name} must be a number, got {environ[name]!r}.") from None
    return thread_env.DEVICE_POOL_FRACTION


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What this machine allows, and why. Exit code 0: a search can run; 1: it cannot."""

    device: Device = "auto"
    """Where trials train; auto takes the GPU if there is one."""
    thread_cap: int | None = None
    """CPUs, and so threads, of one trial; chosen from the room that is left unless set."""
    memory_budget: str | None = None
    """Device memory of one trial, as 8GiB; a share of what is free unless set."""
    json: bool = False
    """Print JSON."""


@until_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    import tyro

    options = tyro.cli(
        Options,
        args=arguments,
        prog="python -m tune.preflight",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    budget_bytes = None
    try:
        if options.memory_budget is not None:
            budget_bytes = parse_bytes(options.memory_budget)
        preflight = check(
            device=options.device,
            thread_cap=options.thread_cap,
            memory_budget_bytes=budget_bytes,
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    preflight_view.show(preflight, as_json=options.json)
    return 0 if preflight.fit else 1


if __name__ == "__main__":
    raise SystemExit(main())
