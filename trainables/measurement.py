"""The messages between a trial's child and its parent. Stdlib only, pure.

The parent sends one `TrialRequest` as JSON on stdin. The child answers with JSON lines on a pipe of
their own: `Progress` while the trial lives, then one `Report`. A `CompileRequest` asks for programs
alone and gets the same answers. The parent makes one `Outcome` of the answers, or of a death
without a report.
"""

import dataclasses
import enum
import json
import math
from typing import Any

from cluster.structure import revive
from search_spaces.config import Config
from trainables.curve import LearningCurve, TrainingRequest
from trainables.machine_speed import MachineBest, MachineSpeed
from trainables.sampling import Sampling, Throughput


class OutcomeKind(enum.StrEnum):
    """The kinds of end that a trial may have. A limit is a result; only `ERROR` is a defect.

    `EXCLUDED` never ran: its program was predicted, or compiled ahead, over the memory budget.
    """

    COMPLETED = "completed"
    INVALID = "invalid"
    THREAD_LIMIT = "thread_limit"
    DEVICE_MEMORY = "device_memory"
    HOST_MEMORY = "host_memory"
    UNSTABLE = "unstable"
    TIMEOUT = "timeout"
    SLOW = "slow"
    ERROR = "error"
    NODE_LOST = "node_lost"
    EXCLUDED = "excluded"

    @property
    def was_measured(self) -> bool:
        """Return whether it has a speed; a trial stopped as slow has one, over few blocks."""
        return self in (OutcomeKind.COMPLETED, OutcomeKind.SLOW)

    @property
    def is_limit(self) -> bool:
        """Return whether the configuration asked for more than the machine has."""
        return self in (
            OutcomeKind.THREAD_LIMIT,
            OutcomeKind.DEVICE_MEMORY,
            OutcomeKind.HOST_MEMORY,
            OutcomeKind.EXCLUDED,
        )

    @property
    def says_nothing(self) -> bool:
        """Return whether it says nothing about the configuration: a defect, or a lost worker."""
        return self in (OutcomeKind.ERROR, OutcomeKind.NODE_LOST)


ENV_STEPS = "env steps"
"""The unit of speeds, where a script counts nothing else."""


class Phase(enum.StrEnum):
    """Stages of a trial's life, in order.

    START starts the interpreter, IMPORT imports the workload's module and its framework, BUILD
    calls the factory (a framework often opens its device there); the others say what they do.
    """

    START = "start"
    IMPORT = "import"
    BUILD = "build"
    COMPILE = "compile"
    WARMUP = "warmup"
    MEASURE = "measure"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """One trial, complete: the child needs nothing else.

    `platform` is "cpu" or "cuda". `cpus` are the CPU numbers the child binds itself to before it
    imports any framework. `slow_below` is a speed in env steps per second: a trial whose interval
    lies wholly below it is stopped as `slow`. `num_updates`, if set, makes the trial a soak:
    exactly so many updates (or as many as `max_measure_s` allows) are run and measured. `ends_at`
    is a moment of the monotonic clock: a trial that was measured by then, however briefly, reports
    that before it, because it is killed soon after. `training`, if set, makes the trial a training
    from scratch, of which the learning counts. With `needs_return` one without a return ends the
    search. `machine_best` is the CPUs' best so far: blocks in which they are slower do not count.
    """

    workload: str
    config: Config
    options: dict[str, Any]
    platform: str
    cpus: tuple[int, ...]
    device_budget_bytes: int | None = None
    sampling: Sampling = dataclasses.field(default_factory=Sampling)
    slow_below: float | None = None
    num_updates: int | None = None
    ends_at: float = math.inf
    training: TrainingRequest | None = None
    needs_return: bool = False
    machine_best: MachineBest = dataclasses.field(default_factory=MachineBest)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompileRequest:
    """Configurations to compile and not to run, one after the other in one child.

    `target` describes a GPU that need not be here, as the compiler's own text; `None` compiles for
    this machine's device. `cpus` as in `TrialRequest`.
    """

    workload: str
    configs: tuple[Config, ...]
    options: dict[str, Any]
    cpus: tuple[int, ...]
    target: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Throughput):
    """Steady-state training speed of one configuration in one fresh process.

    Seconds are wall seconds. With `compiled_from_cache`, `compile_s` is the time to read what an
    earlier process compiled. `gpu_utilization` is NVML's percent. `health` is the last update's,
    `first_health` the first one's. `own_cpus` is the CPUs' worth of time that the trial took,
    `others_cpus` that which other programs took on its CPUs, `None` where the kernel does not
    count. `gpu_held_back` has the limits that lowered the GPU's clocks, each with the share of
    looks at which it did. In `num_restart_blocks` processes of the trial's own started or ended.
    `device_growth_bytes` is the rise of the allocator's peak over the measurement. `unit` is what
    is counted, in the plural: a script may count agent steps or tokens. `curve` is of a training
    from scratch. `machine_speed` is a canary's; `num_slowed_blocks` are those of the disturbed ones
    that it alone told of. In `num_gpu_shared_blocks` other processes computed on its GPU. `counted`
    is what `num_updates` are, in the singular: a training may tell its steps at whatever times.
    """

    env_steps_per_update: int
    startup_s: float
    build_s: float
    compile_s: float
    warmup_s: float
    measure_s: float
    flops_per_update: float | None
    predicted_device_bytes: int | None
    peak_device_bytes: int | None
    num_compilations: int | None
    gpu_utilization: float | None
    gpu_temperature_c: float | None
    gpu_power_w: float | None
    health: dict[str, float]
    compiled_from_cache: bool | None = None
    own_cpus: float | None = None
    others_cpus: float | None = None
    gpu_held_back: dict[str, float] = dataclasses.field(default_factory=dict)
    num_restart_blocks: int = 0
    device_growth_bytes: int | None = None
    unit: str = ENV_STEPS
    first_health: dict[str, float] = dataclasses.field(default_factory=dict)
    curve: LearningCurve | None = None
    machine_speed: MachineSpeed | None = None
    num_slowed_blocks: int = 0
    num_gpu_shared_blocks: int = 0
    counted: str = "update"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """The compiler's result for one configuration of a `CompileRequest`.

    `device_bytes` is `None` where the workload cannot tell, or where `problem` says in one sentence
    why there is no such program.
    """

    config: Config
    device_bytes: int | None
    compile_s: float
    problem: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The trial entered `phase`; `predicted_device_bytes` is known from `WARMUP` on.

    `compiled` is there once for each configuration of a `CompileRequest`.
    """

    phase: Phase
    predicted_device_bytes: int | None = None
    compiled: Compiled | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The child's last message: how it ended, as far as it can tell, and what it measured.

    If it `ends_search`, no trial of this search can run: its input is wrong.
    """

    kind: OutcomeKind
    message: str
    measurement: Measurement | None = None
    predicted_device_bytes: int | None = None
    ends_search: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a trial as the parent saw it: the child's report, or its death explained.

    `message` is one sentence with the evidence. Peaks are over the child's whole process tree, seen
    from outside: OS threads, resident bytes, memory maps (of the process with most of them).
    `thread_cap` is the cap the trial ended under. `log` is the file with its stderr.
    `threads_by_phase` has the peak of each phase that was seen, `seconds_by_phase` what each took;
    both are of the last attempt, `None` where no process was watched. `host_growth` is the rise of
    resident bytes per second while it was measured, `None` where it did not rise steadily.
    `gpus` are the names of the host's GPUs that it ran on, where it was given some of several;
    `host` is the address of the cluster's host. `ends_search` is the report's. `num_cpus_taken` is
    the number of CPUs that a process of it could use, where it widened its affinity beyond the cap.
    """

    kind: OutcomeKind
    message: str
    wall_s: float
    thread_cap: int
    measurement: Measurement | None = None
    predicted_device_bytes: int | None = None
    peak_threads: int | None = None
    peak_host_bytes: int | None = None
    peak_maps: int | None = None
    log: str | None = None
    threads_by_phase: dict[str, int] | None = None
    seconds_by_phase: dict[str, float] | None = None
    host_growth: float | None = None
    ends_search: bool = False
    num_cpus_taken: int | None = None
    gpus: tuple[str, ...] = ()
    host: str | None = None


class WireError(ValueError):
    """A line on the wire is not one of ours."""


Message = Progress | Report
_MESSAGES: dict[str, type[Progress] | type[Report]] = {"progress": Progress, "report": Report}


def encode(message: Message) -> str:
    """Return the message as one JSON line, newline included. NaN and Inf survive."""
    name = type(message).__name__.lower()
    return json.dumps({"type": name, **dataclasses.asdict(message)}) + "\n"


def decode(line: str) -> Message:
    """Parse one line from a child.

    Raises:
        WireError: if the line is not JSON, or not one of the messages, or lacks a field.
    """
    try:
        fields = json.loads(line)
        message_type = _MESSAGES[fields.pop("type")]
        return revive(message_type, fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WireError(f"not a trial's message: {line[:200]!r} ({error!r}).") from error
