"""A thread cap for a trial, as CPUs to bind to and as variables of its environment.

Affinity comes first. XLA sizes every pool by the CPUs it may run on, and its largest one (constant
folding, one thread per CPU at each compile) has no variable; so the child narrows its affinity with
`os.sched_setaffinity` before it imports a framework. The variables are the second line: they hold
the pools that look elsewhere (OpenBLAS and OpenMP count the host's CPUs under some container
runtimes). A trial of Phase 1 on 128 CPUs: 550 threads with nothing, 498 with the six variables that
are well known, 31 with an affinity of 4 and the variables here (benchmarks/README.md, Threads).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from cluster.node import xla_flags
from cluster.node.limits import Cpus, ThreadLimit, ThreadLimits

Platform = Literal["cpu", "cuda"]
Framework = Literal["jax", "torch", "any"]  # any: a command, of which nothing is known

DEFAULT_CAP = 4
"""On a CPU, XLA's gain beyond 4 cores is unmeasured here."""

GPU_CAP = 16
"""JAX's trials on a GPU compile for most of their time, and train as fast under any cap: on an H100
53 s with 1 CPU, 17 s with 4 and 8.4 s with 16 (benchmarks/gpu)."""

DEVICE_POOL_FRACTION = 0.9
"""Share of the GPU that XLA's pool takes: the rest holds CUDA's context and the kernels."""

POOL_FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
"""Names of the share of the GPU that XLA's pool takes. jaxlib does not start if both are set."""

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""The least level of what XLA logs; above 1 the errors that say why a trial died are not."""

_JAX_PLATFORMS = {"cpu": "cpu", "cuda": "cuda,cpu"}
"""JAX trains on the first. Beside a GPU it needs the CPU for what programs call back to the host
(jax.debug.print, io_callback) or keep there. Without a device file it falls back to the CPU in
silence, and the trial is an error: see `trainables.verdicts.wrong_device`.
"""

_GROWING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
"""Variables by which JAX and TensorFlow take a GPU's memory as they need it. Else they take most of
it at their start: all configurations of a command look alike, and any larger one too large.
"""

_JAX_SWITCHES = {
    "JAX_PLATFORM_NAME": "",  # JAX_PLATFORMS says it, and this older name beside it contradicts
    "JAX_DISABLE_JIT": "0",
    "JAX_CHECK_TRACER_LEAKS": "0",
    "JAX_DEBUG_INFS": "0",
    "JAX_DEBUG_NANS": "0",
}
"""For finding errors in a program, at many times its cost: what they slow is no measurement."""

_MARGIN_THREADS = 16  # git, nvidia-smi, a watchdog: what comes and goes beside a trial
_SERIAL_PTXAS = "--xla_gpu_force_compilation_parallelism=1"


class NoRoomError(ValueError):
    """A thread cap that does not fit into the room that `limit` leaves.

    `smallest_limit` is the limit under which it would fit, `fitting_cap` the largest cap that
    fits now, if any.
    """

    def __init__(
        self, *, limit: ThreadLimit, cap: int, needed_threads: int, fitting_cap: int | None
    ) -> None:
        self.limit = limit
        self.needed_threads = needed_threads
        self.smallest_limit = limit.smallest_limit(needed_threads)
        self.fitting_cap = fitting_cap
        super().__init__(
            f"no room for threads: {limit.name} allows {limit.limit}, {limit.use} are in use, and "
            f"Ray and trials under a thread cap of {cap} need {needed_threads} more. "
            f"The smallest limit that would do is {self.smallest_limit}."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ThreadEnv:
    """The means that enforce `cap`: the CPUs that a child binds to, variables of its environment.

    `notes` say in words which of the person's own values change in trials, and which are kept.
    """

    cap: int
    cpus: tuple[int, ...]
    variables: dict[str, str]
    notes: tuple[str, ...]


def build(
    cap: int,
    platform: Platform,
    allowed_cpus: Sequence[int],
    base: Mapping[str, str],
    framework: Framework = "jax",
) -> ThreadEnv:
    """Return what holds one trial at `cap`, on top of the environment `base`.

    It takes the first of the CPUs.

    Raises:
        ValueError: if the cap is not positive, or no CPU is allowed.
    """
    if cap < 1 or not allowed_cpus:
        raise ValueError(f"cap must be at least 1 on at least one CPU, got {cap}, {allowed_cpus}.")
    cpus = tuple(allowed_cpus[:cap])
    variables = _pools(len(cpus), framework) | _stderr(base)
    kept: list[str] = []
    if platform == "cuda":
        # NVML, which names GPUs and their memory, counts so; CUDA by itself, fastest first.
        variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if framework != "jax" and platform == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""  # torch takes any GPU that it can see
        variables |= {"JAX_PLATFORMS": "cpu"} if framework == "any" else {}
    if framework == "any" and platform == "cuda":
        variables |= {name: value for name, value in _GROWING.items() if not base.get(name)}
    if framework == "jax":
        # Unset, JAX falls back to the CPU without a word when the GPU's plugin fails.
        variables |= {"JAX_PLATFORMS": _JAX_PLATFORMS[platform], **_jax_switches(base)}
        if platform == "cuda":
            gpu_variables, kept = _cuda(base, len(cpus))
            variables |= gpu_variables
    notes = [_note(name, base[name], value) for name, value in variables.items() if base.get(name)]
    if len(cpus) < cap:
        notes.append(f"the thread cap of {cap} becomes {len(cpus)}: no more CPUs are allowed.")
    return ThreadEnv(
        cap=len(cpus),
        cpus=cpus,
        variables=variables,
        notes=tuple(note for note in (*notes, *kept) if note),
    )


def with_chosen(environment: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return a trial's environment with the variables that its configuration sets.

    They were in the base of `build`, which may have added to XLA_FLAGS; all others are theirs.
    """
    return {**environment, **{n: v for n, v in chosen.items() if n != "XLA_FLAGS"}}


def expected_threads(
    cap: int,
    platform: Platform,
    framework: Framework = "jax",
    num_subprocesses: int = 0,
    more_threads: int = 0,
) -> int:
    """Return the peak of a trial's process tree under `cap`: what was measured, rounded up.

    The peak comes at the compilation, and does not depend on how many CPUs the host has. Phase 1
    under caps of 1, 2, 4 and 8 takes 16, 21, 31 and 51 on a CPU; compiled for an H100, ptxas
    processes included, 17, 21, 36 and 60, and for the driver's own threads, which nobody has
    counted here, 4 are added. torch, with its data loader and compiler: 28 under a cap of 4.
    A subprocess that holds environments has one thread, and Python's tracker of them another.
    `more_threads` were seen beside all that: a Ray of a training's own takes 160 to 240.
    """
    more_threads += num_subprocesses + 1 if num_subprocesses else 0
    if more_threads:
        return expected_threads(cap, platform, framework) + more_threads
    if framework == "torch":
        return 12 + 4 * cap
    if framework == "any":
        return max(expected_threads(cap, platform, one) for one in ("jax", "torch"))
    if platform == "cpu":
        return 12 + 5 * cap
    return 18 + 4 * cap if cap < DEFAULT_CAP else 16 + 6 * cap


def choose_cap(
    *,
    limits: ThreadLimits,
    cpus: Cpus,
    platform: Platform,
    ray_threads: int,
    framework: Framework = "jax",
    num_subprocesses: int = 0,
    more_threads: int = 0,
    num_parallel_trials: int = 1,
    requested: int | None = None,
) -> int:
    """Return the largest cap that fits into the room that Ray leaves.

    It is at most `DEFAULT_CAP`, for JAX on a GPU at most `GPU_CAP`.

    A `requested` cap is taken as it is (but for CPUs that do not exist), or refused.

    Raises:
        NoRoomError: if the binding limit has no room for Ray and the trials.
    """

    def needed(cap: int) -> int:
        trial = expected_threads(cap, platform, framework, num_subprocesses, more_threads)
        return ray_threads + num_parallel_trials * trial + _MARGIN_THREADS

    most = GPU_CAP if platform == "cuda" and framework == "jax" else DEFAULT_CAP
    largest = min(most, max(1, cpus.usable // num_parallel_trials))
    if requested is not None:
        largest = min(requested, len(cpus.allowed))
    caps = range(largest, 0, -1)
    fitting = [cap for cap in caps if limits.room is None or needed(cap) <= limits.room]
    if fitting and (requested is None or fitting[0] == largest):
        return fitting[0]
    assert limits.binding is not None
    cap = 1 if requested is None else largest
    raise NoRoomError(
        limit=limits.binding,
        cap=cap,
        needed_threads=needed(cap),
        fitting_cap=fitting[0] if fitting else None,
    )


def _pools(cap: int, framework: Framework) -> dict[str, str]:
    """Return the variables that size thread pools. jaxlib reads PJRT_NPROC, and no TF_NUM_*."""
    # numpy and scipy each carry an OpenBLAS, of up to 64 threads at import; nothing here needs one.
    # pyarrow sizes its CPU pool by OMP_NUM_THREADS and has 8 more threads for reading files.
    variables = {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "ARROW_IO_THREADS": "1",
    }
    if framework != "torch":
        variables["PJRT_NPROC"] = str(cap)
    if framework == "jax":
        return variables
    # torch computes in OpenMP's and MKL's teams. Its inter-op pool has no variable: the workload
    # calls torch.set_num_interop_threads. Tokenizers bring Rust's pool, one thread per CPU.
    # OpenMP's threads spin while they wait for each other; where one of them has lost its CPU to
    # another process, all others burn theirs: a PPO update took 1.5 to 4 s, passive ones 0.36 s.
    return variables | {
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": str(cap),
        "MKL_NUM_THREADS": str(cap),
        "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # else one process per CPU of the host
    }


def _jax_switches(base: Mapping[str, str]) -> dict[str, str]:
    """Return the person's switches of JAX that would end trials, or slow all of them, set right."""
    return {name: value for name, value in _JAX_SWITCHES.items() if base.get(name)}


def _stderr(base: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps errors on stderr, from which the cause of a trial's death is read."""
    level = base.get(LOG_LEVEL, "")
    return {LOG_LEVEL: "1"} if level.isdigit() and int(level) > 1 else {}


def _cuda(base: Mapping[str, str], cap: int) -> tuple[dict[str, str], list[str]]:
    """Return the variables for a GPU, and notes on the person's own values that are kept."""
    variables: dict[str, str] = {}
    notes = [
        f"{name}={base[name]} of your environment is kept."
        for name in POOL_FRACTIONS
        if base.get(name)
    ]
    if not notes:
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = str(DEVICE_POOL_FRACTION)
    flags = base.get("XLA_FLAGS", "").strip()
    name, _, _ = _SERIAL_PTXAS.removeprefix("--").partition("=")
    if flags and not flags.startswith("-"):
        notes.append(f"XLA_FLAGS={flags} names a file and is kept as it is.")
    elif name in flags:
        notes.append(f"XLA_FLAGS={flags} of your environment is kept: it sets {name} itself.")
    elif cap < DEFAULT_CAP and (more := xla_flags.with_xla_flag(flags, _SERIAL_PTXAS)) != flags:
        # Where room is short: one pool and a swarm of ptxas processes less (29 instead of 36 under
        # a cap of 4), for a compilation, and an autotuning, that is slower (6 s instead of 4).
        variables["XLA_FLAGS"] = more
    return variables, notes


def _note(name: str, before: str, after: str) -> str | None:
    if before == after:
        return None
    if after.startswith(f"{before} "):
        added = after.removeprefix(before).strip()
        return f"{name}={before} of your environment is kept and gains {added} in trials."
    return f"{name}={before} of your environment becomes {after or 'unset'} in trials."
