"""A profile as data: its keys, and the values that each may have. Pure.

The keys of a file are these fields, in this order. A field that may be `None` is a figure that may
not have been measured; it is then absent from the file, never null or zero.
"""

import dataclasses
import datetime
import re
from typing import Annotated, Any, Literal

from cluster.node.hardware import Machine
from cluster.node.thread_env import Framework
from cluster.structure import Count, NotNegative, Plain, Positive, PositiveCount, Rule
from search_spaces.config import config_violation, num_minibatches
from trainables.measurement import ENV_STEPS
from tune.profile.searched import ProfileSearch
from tune.search.result import Kind

PROFILE_VERSION = 1

EXPORTABLE = frozenset(
    {
        "ARROW_IO_THREADS",
        "CUDA_DEVICE_ORDER",
        "CUDA_VISIBLE_DEVICES",
        "JAX_DEFAULT_MATMUL_PRECISION",
        "JAX_ENABLE_X64",
        "JAX_PLATFORMS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NVIDIA_TF32_OVERRIDE",
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "OPENBLAS_NUM_THREADS",
        "PJRT_NPROC",
        "PYTORCH_ALLOC_CONF",
        "PYTORCH_CUDA_ALLOC_CONF",
        "RAYON_NUM_THREADS",
        "TF_CPP_MIN_LOG_LEVEL",
        "TF_FORCE_GPU_ALLOW_GROWTH",
        "TOKENIZERS_PARALLELISM",
        "TORCHINDUCTOR_COMPILE_THREADS",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "XLA_CLIENT_MEM_FRACTION",
        "XLA_FLAGS",
        "XLA_PYTHON_CLIENT_ALLOCATOR",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
    }
)
"""The only variables that a profile may set: shells evaluate them, and people share profiles.

So no secret of the searching machine gets in, and no stranger's PATH or LD_PRELOAD gets out.
"""


_Variables = Annotated[
    dict[str, str],
    Rule(
        f"may only set {', '.join(sorted(EXPORTABLE))}",
        lambda variables: variables.keys() <= EXPORTABLE,
    ),
    Rule(
        "must hold no NUL byte",
        lambda variables: not any("\0" in value for value in variables.values()),
    ),
]
ProfileConfig = Annotated[
    dict[str, Plain],
    Rule("must name at least one value", bool),
    Rule(
        "must have a batch_size that divides num_envs * num_steps",
        lambda config: config_violation(config) is None,
    ),
]
_Cpus = Annotated[tuple[Count, ...], Rule("must name at least one CPU", bool)]
_Slug = Annotated[
    str,
    Rule(
        "must be of letters, digits, - and _",
        lambda text: re.fullmatch(r"[\w-]+", text) is not None,
    ),
]


def _is_utc(text: str) -> bool:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.utcoffset() == datetime.timedelta(0)


_Moment = Annotated[str, Rule("must be a UTC time in ISO 8601", _is_utc)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSpeed:
    """The 95 % interval of `expected_sps`, and the seconds of the latest process.

    `compile_s` is of the latest process that compiled its program and did not read it from the
    cache. With `disturbed`, every process that was measured was disturbed, by other programs or by
    a slower machine; it is absent else. `unit` is what is counted, in the plural; it is absent for
    env steps. `cpu_flops_per_s` and those below are a canary's beside it (`MachineSpeed`).
    """

    low: NotNegative
    high: Positive
    num_processes: PositiveCount
    converged: bool
    startup_s: NotNegative
    build_s: NotNegative
    compile_s: NotNegative | None
    warmup_s: NotNegative
    flops_per_update: NotNegative | None
    num_compilations: Count | None
    disturbed: bool | None = None
    unit: str | None = None
    cpu_flops_per_s: Positive | None = None
    cpu_bytes_per_s: Positive | None = None
    cpu_handoffs_per_s: Positive | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileMemory:
    """Bytes: predicted by the compiler, measured, allowed, and left."""

    predicted_device_bytes: Count | None
    peak_device_bytes: Count | None
    device_budget_bytes: PositiveCount
    device_headroom_bytes: int | None
    peak_host_bytes: Count | None
    host_budget_bytes: PositiveCount
    host_headroom_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileThreads:
    """The cap that worked, the peaks under it, and the tightest limit when the search began."""

    cap: PositiveCount
    peak_threads: PositiveCount | None
    peak_maps: PositiveCount | None
    binding_limit: str | None
    limit: Count | None
    room: Count | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileBaseline:
    """The baseline, measured in the same search, and the speed-up over it.

    An interval of the speed-up that includes 1 is noise. With `disturbed`, every process of the
    baseline was disturbed, and the speed-up is due to that too; it is absent else.
    """

    config: ProfileConfig
    steps_per_second: Positive
    low: NotNegative
    high: Positive
    speedup: Positive
    speedup_low: Positive
    speedup_high: Positive
    disturbed: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSoak:
    """A long run in one process: updates done of those asked for, and its speed.

    `counted` is what `updates` are, in the singular; it is absent for updates.
    """

    updates: PositiveCount
    asked_updates: PositiveCount
    measure_s: Positive
    steps_per_second: Positive
    counted: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileLearning:
    """The learning that trainings from scratch told, each of `training_s` at most.

    `seconds` is the geometric mean of those to `target`, with its 95 % interval; they are absent
    where no target was given or a seed did not reach it. `final_return` is the mean return after
    `training_s`, or where a training ended before that; it is absent where a seed reached the
    target, which ended it: what it would have come to is not known. `held_out` is the share of the
    data, the last of it, whose episodes gave the returns.
    """

    num_seeds: PositiveCount
    training_s: Positive
    final_return: float | None
    target: float | None
    seconds: Positive | None
    low: Positive | None
    high: Positive | None
    held_out: Positive | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileWorkload:
    """The workload that was trained: its factory with the options.

    `source` has the hash of each file of a person's own workload.
    """

    factory: str
    options: dict[str, Any]
    framework: Framework
    source: dict[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEnvironment:
    """The CPUs that a process binds to, and the variables: together they enforce the thread cap."""

    cpus: _Cpus
    variables: _Variables


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One configuration and all that is known of it. The fields are in the file's order.

    `config` is what the workload's factory takes; trainers read its values from the file's top.
    `expected_memory_gb` is in 10^9 bytes: the allocator's peak on a GPU, the resident memory of
    the process tree on a CPU. `expected_gpu_util` is in percent. `timesteps_reduction`, of Phase 3
    alone, is the share of the production run that confirmed the winner. `confirmed` says that fresh
    processes re-measured it after exploring, `partial` that the search was interrupted.
    """

    schema_version: int
    kind: Kind
    mode: _Slug
    phase: PositiveCount | None
    device: Literal["cpu", "cuda"]
    expected_sps: Positive
    expected_memory_gb: NotNegative | None
    expected_gpu_util: NotNegative | None
    timesteps_reduction: Positive | None
    confirmed: bool
    partial: bool
    created_at: _Moment
    config: ProfileConfig
    speed: ProfileSpeed
    baseline: ProfileBaseline | None
    soak: ProfileSoak | None
    learning: ProfileLearning | None = None
    memory: ProfileMemory
    threads: ProfileThreads
    environment: ProfileEnvironment
    workload: ProfileWorkload
    data: dict[str, Any]
    search: ProfileSearch
    machine_class: _Slug
    machine: Machine

    @property
    def num_minibatches(self) -> int | None:
        """The gradient steps per epoch; `None` for a workload that has none."""
        return num_minibatches(self.config)

    @property
    def unit(self) -> str:
        """The name of what `expected_sps` counts, in the plural."""
        return self.speed.unit or ENV_STEPS

    @property
    def file_name(self) -> str:
        """The name of the file: one per machine class, phase and kind."""
        task = self.mode if self.phase is None else f"phase{self.phase}"
        return f"{self.machine_class}-{task}-{self.kind}.yaml"
