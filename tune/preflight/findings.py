"""Findings about a machine, the request to judge it, and the verdict. Stdlib only, pure."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from cluster.errors import UserError
from cluster.node.container import Container
from cluster.node.gpus import VisibleGpu
from cluster.node.hardware import Machine
from cluster.node.limits import Cpus, MemoryLimit, ThreadLimits
from cluster.node.thread_env import Framework, Platform, ThreadEnv
from tune.parse import require_at_least

Device = Literal["auto", "cpu", "gpu"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRequest:
    """A request to judge a machine: for one search, or for its trials on a host of a cluster.

    `num_subprocesses` are those that each trial starts, `more_threads` those that one was seen to
    take beside what is expected. `max_gpus` is how many GPUs of one kind
    take trials side by side, `None` for all; on a host of a cluster, where Ray counts the GPUs, it
    is 1, and `num_parallel_trials` run side by side. `ray_runs` says that this is a host of a
    cluster, whose running Ray is already among the threads in use. `machine_class` leaves the GPUs
    of that kind alone, `share` what one of several searches has of this machine; `num_searches` are
    judged together, one for each kind of its GPUs.

    Raises:
        UserError: if an option makes no sense on any machine.
    """

    device: Device = "auto"
    thread_cap: int | None = None
    memory_budget_bytes: int | None = None
    framework: Framework = "jax"
    num_subprocesses: int = 0
    more_threads: int = 0
    num_parallel_trials: int = 1
    max_gpus: int | None = 1
    dashboard: bool = False
    ray_runs: bool = False
    machine_class: str | None = None
    share: "MachineShare | None" = None
    num_searches: int = 1

    def __post_init__(self) -> None:
        require_at_least("--thread-cap", self.thread_cap, 1)
        require_at_least("--memory-budget", self.memory_budget_bytes, 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlace:
    """One of several GPUs that take trials side by side: its name for CUDA, and CPUs of its own."""

    name: str
    cpus: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MachineShare:
    """The share that one of several searches has of a machine with GPUs of several kinds.

    `gpus` are its GPUs by their names for CUDA, `cpus` all that its trials and its Ray run on,
    `thread_cap` and `host_bytes` are for one trial. `beside` are the classes of the other searches.
    """

    gpus: tuple[str, ...]
    cpus: tuple[int, ...]
    thread_cap: int
    host_bytes: int
    beside: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A reason that no search can run: what is wrong, what was found, the one thing to change."""

    what: str
    got: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}: {self.got}. {self.do}"


class NotFitError(UserError):
    """This machine cannot run the search; the message says what to change."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was read off the machine; the verdict is computed from it alone.

    `gpus` are those that CUDA_VISIBLE_DEVICES leaves and that answer; `machine` has the same.
    `gpu_faults` has why the others of them do not answer, by name, `hidden_gpus` counts what is
    hidden, and `unknown_gpu` is a name in the variable that no GPU has. `driver_fault` says why the
    driver as a whole does not answer;
    `has_device_without_driver`: the kernel shows a GPU, and there is no driver's library.
    `affinity_refused`: the kernel does not let a process choose its CPUs. `torch_cuda` is the CUDA
    that the installed PyTorch was built for.
    """

    machine: Machine
    gpus: tuple[VisibleGpu, ...]
    hidden_gpus: int
    thread_limits: ThreadLimits
    cpus: Cpus
    host_memory: MemoryLimit
    container: Container | None
    missing_dashboard_packages: tuple[str, ...] = ()
    gpu_faults: dict[str, str] = dataclasses.field(default_factory=dict)
    unknown_gpu: str | None = None
    driver_fault: str | None = None
    has_device_without_driver: bool = False
    affinity_refused: bool = False
    torch_cuda: str | None = None

    def of_gpus(self, gpus: Sequence[VisibleGpu]) -> "Findings":
        """Return the findings with these GPUs alone, in this order."""
        machine = dataclasses.replace(self.machine, gpus=tuple(one.gpu for one in gpus))
        return dataclasses.replace(self, machine=machine, gpus=tuple(gpus))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The verdict on a machine, and what a search there may use.

    `thread_env` and `trial_threads` are `None` if not even one thread per trial fits; `alone` then
    holds a training without a search, if there is room for that.
    `gpus` are those that take trials side by side, where there are several. `share` is what this
    search has of the machine, where searches of other kinds of GPUs run beside it.
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
    gpus: tuple[GpuPlace, ...] = ()
    share: MachineShare | None = None
    alone: ThreadEnv | None = None

    def cpus_of_trial(self, num_gpus: int) -> tuple[int, ...]:
        """Return the CPUs among which a trial that is compared binds itself to the first."""
        if not self.gpus:
            return self.findings.cpus.allowed
        return tuple(sorted(cpu for gpu in self.gpus[:num_gpus] for cpu in gpu.cpus))

    @property
    def on_gpu(self) -> bool:
        """Return whether trials train on a GPU."""
        return self.platform == "cuda"

    @property
    def num_places(self) -> int:
        """The number of trials that run side by side on this machine."""
        return max(len(self.gpus), 1)

    @property
    def fit(self) -> bool:
        """Return whether a search can run."""
        return not self.problems

    @property
    def machine(self) -> Machine:
        """The fingerprint that a profile carries."""
        return self.findings.machine
