"""The cause of a trial's death, from its exit status and the end of its stderr: a table. Pure.

A limit must be named by the evidence: a line that only that limit writes, a kernel counter that
moved, a size that was watched. What nobody recognises is an `error`, never guessed into a limit.
"""

import dataclasses
import re
import signal

from trainables.measurement import OutcomeKind

NEAR_LIMIT = 0.9
"""The share of a limit above which a death that names no cause is put down to that limit."""

_MAX_QUOTE = 200
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
"""Signals that no training sends to itself."""
_OF_A_SHELL = 128
"""What a shell adds to the signal that ended its program, and exits with."""
_BUS_ERROR = (-signal.SIGBUS, _OF_A_SHELL + signal.SIGBUS)

_FEWER_THREADS = "Run it with a smaller thread cap, or raise the limit."
_LESS_MEMORY = "Use a smaller configuration, or a machine with more memory."


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """A pattern that one cause alone writes to stderr, that cause in words, and what to do."""

    kind: OutcomeKind
    cause: str
    remedy: str
    pattern: re.Pattern[str]


def _rows(kind: OutcomeKind, cause: str, remedy: str, *patterns: str) -> tuple[Signature, ...]:
    return tuple(Signature(kind, cause, remedy, re.compile(p, re.MULTILINE)) for p in patterns)


# Order is precedence: a process that cannot make a thread often fails at memory next, and a wrong
# XLA flag ends the process before any limit could.
SIGNATURES: tuple[Signature, ...] = (
    *_rows(
        OutcomeKind.ERROR,
        "this jaxlib does not accept XLA_FLAGS",
        "Take that flag out.",
        r"Unknown flags? in XLA_FLAGS: \S.*",
        r'Could not open file "[^"]*" to read flags for environment variable "XLA_FLAGS"',
        r"Couldn't interpret value \S+ for flag \S+",
    ),
    *_rows(
        OutcomeKind.THREAD_LIMIT,
        "it could not create another thread or process",
        _FEWER_THREADS,
        r"Thread \S+ creation via pthread_create\(\) failed",  # XLA; SIGABRT
        r"pthread_create failed: Resource temporarily unavailable",  # LLVM, gRPC; SIGABRT or exit 1
        r"OpenBLAS blas_thread_init: pthread_create failed for thread \d+ of \d+",  # SIGINT (!)
        r"libgomp: Thread creation failed: Resource temporarily unavailable",  # exit 1
        r"OMP: Error #34: System unable to allocate necessary resources for OMP thread",
        r"RuntimeError: can't start new thread",
        r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable",
        r"INTERNAL: Failed to launch ptxas",
        r"(boost.*thread|system_error).*Resource temporarily unavailable",
        r"what\(\):\s+(thread: )?Resource temporarily unavailable",
        r"ThreadPoolBuildError.*(WouldBlock|code: 11)",  # Rust's rayon
        r"failed to spawn thread: .*(WouldBlock|code: 11)",
        r"fork: (retry: )?Resource temporarily unavailable",
        r"<jemalloc>: arena \d+ background thread creation failed \(11\)",
        r"runtime: failed to create new OS thread .*errno=11|fatal error: newosproc",  # Go
    ),
    *_rows(  # seen on an H100 of which another process held 99 %; no configuration would help
        OutcomeKind.ERROR,
        "other processes hold the GPU's memory, so that CUDA could not start",
        "Look at nvidia-smi.",
        r"CUDA_ERROR_OUT_OF_MEMORY(?=[\s\S]*Unable to initialize backend 'cuda')",
    ),
    *_rows(
        OutcomeKind.DEVICE_MEMORY,
        "the device's memory is used up",
        "Use fewer environments, shorter rollouts or smaller minibatches.",
        r"RESOURCE_EXHAUSTED: (Out of memory while trying to allocate"
        r"|Failed to allocate request for|.*ran out of memory).*",
        r"CUDA out of memory\. Tried to allocate.*",
        # Pools of XLA and TensorFlow ask for less where memory is held, say so, and go on.
        r"^(?!.*(Failed to allocate device memory of |failed to alloc.* (from device|on host): ))"
        r".*CUDA_ERROR_OUT_OF_MEMORY.*",
        r"OOM when allocating tensor.*/device:GPU:\d+",  # TensorFlow
        # PyTorch asks NVML who holds the memory that it lacks; on MIG, say, it may not.
        r"NVML_SUCCESS == .*INTERNAL ASSERT FAILED at \S*CUDACachingAllocator\.cpp",
        r"(CUDA( driver)?|Gym cuda) error: out of memory|Triton Error \[CUDA\]: out of memory",
        r"cudaErrorMemoryAllocation ?: out of memory",
        r"(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|CUDNN_STATUS_\w+_DEVICE_ALLOCATION_FAILED",
        r"ran out of memory trying to instantiate command buffer",
        r"PxgCudaDeviceMemoryAllocator fail to allocate memory \d+ bytes",  # PhysX, then error 700
        r"ERROR_OUT_OF_DEVICE_MEMORY",  # Vulkan, in Isaac's Kit
        r"Warp CUDA error 2: out of memory|Failed to allocate \d+ bytes on device 'cuda",  # Warp
        r"Failed to determine best cudnn convolution algorithm",  # cuDNN, which cannot try any
        r"Cuda failure (2 )?'out of memory'",  # NCCL
        r"No available memory for the cache blocks",  # vLLM
        r"Free memory on device.* is less than desired GPU memory utilization",
        r"HIP out of memory",
    ),
    *_rows(
        OutcomeKind.HOST_MEMORY,
        "the machine's memory is used up",
        _LESS_MEMORY,
        r"RESOURCE_EXHAUSTED: Out of memory allocating \d+ bytes",
        r"DefaultCPUAllocator: can't allocate memory: you tried to allocate \d+ bytes",
        r"OOM when allocating tensor.*/device:CPU:\d+",  # TensorFlow
        r"_ArrayMemoryError: Unable to allocate.*",
        r"^MemoryError\b.*",
        r"std::bad_alloc",
        r"Cannot allocate memory",
    ),
    *_rows(
        OutcomeKind.HOST_MEMORY,
        "no more memory could be mapped: either bytes or vm.max_map_count are used up",
        "Raise what is used up; if it comes after many updates, look for a recompilation in each.",
        r"low_level_alloc\.cc : \d+\] RAW: mmap error: 12",
    ),
    *_rows(
        OutcomeKind.ERROR,
        "it found CUDA libraries that are not its own, or none",
        "Unset LD_LIBRARY_PATH, whose libraries come first, or install the framework anew.",
        r"Loaded runtime CuDNN library: \S+ but source was compiled with: [\d.]*\d",
        r"cuDNN version incompatibility: .*",  # PyTorch
        r"Outdated \w+ installation found\.|Unable to load [Cc][Uu]\w+\. Is it installed\?",  # JAX
        r"undefined symbol: __nvJitLink\w+",
        r"forward compatibility was attempted on non supported HW",  # an image's libcuda
    ),
    *_rows(
        OutcomeKind.ERROR,
        "the framework is built for other GPUs, or for a newer driver",
        "Install its build for this GPU, and for the CUDA that nvidia-smi says.",
        r"no kernel image is available for execution on the device",
        r"the provided PTX was compiled with an unsupported toolchain",
        r"CUDA_ERROR_(NO_BINARY_FOR_GPU|UNSUPPORTED_PTX_VERSION)",
        r"The NVIDIA driver on your system is too old",
        r"ptxas\S* fatal\s*: Value 'sm_\w+' is not defined for option 'gpu-name'",
    ),
    *_rows(
        OutcomeKind.ERROR,
        "there is no usable GPU",
        "Check nvidia-smi, the framework's build, and that the container was started with GPUs.",
        r"operation cuInit\(0\) failed.*",
        r"failed call to cuInit.*",
        r"FAILED_PRECONDITION: No visible GPU devices",
        r"Jax plugin configuration error.*",
        r"Found no NVIDIA driver on your system",
        r"No CUDA GPUs are available",
        r"Torch not compiled with CUDA enabled",
        r"RuntimeError: Unable to initialize backend 'cuda'.*",
        r"assert _default_backend is not None",  # JAX_PLATFORMS=cuda, and no CUDA plugin
    ),
    *_rows(
        OutcomeKind.ERROR,
        "a CUDA library did not start, mostly because another process holds the GPU's memory",
        "Look at nvidia-smi.",
        r"CUBLAS_STATUS_NOT_INITIALIZED|DNN library initialization failed",
    ),
    *_rows(
        OutcomeKind.ERROR,
        "shared memory is used up",
        "Start the container with a larger --shm-size.",
        r"might be caused by insufficient shared memory \(shm\)",
        r"\bBus error\b|\(SIGBUS\)",  # of Python, shells, DataLoader, torchrun
        r"unable to (write to|allocate shared memory\(shm\) for) file </torch_.*",
        r"Error while creating shared memory segment /dev/shm.*",  # NCCL
    ),
    *_rows(
        OutcomeKind.ERROR,
        "a disk is full",
        "Free some space.",
        r"\[Errno 28\] No space left on device.*",
    ),
    *_rows(  # the last: what comes before says more
        OutcomeKind.INVALID,
        "its sizes do not go together",
        "Leave them out by --require, as --require 'num_envs * num_steps % batch_size == 0'.",
        r"^\s*assert\b.*%.*== ?0.*(?=\n(.*\n){0,3}AssertionError)",
        r"^(AssertionError|ValueError|RuntimeError): .*\b(divisible|multiple of|divides?)\b.*",
    ),
)

# Lines that come after the one that matters, in a log that ends in a traceback or a signal's dump.
_NOISE = re.compile(
    r"^(-+$|For simplicity, JAX|Fatal Python error|Extension modules:|Current thread|Thread 0x"
    r"|\s*File \"|\s*<no Python|\*\*\* |\s*@ |Stack \(most recent|\s*\^+$)"
)
_VERDICT = re.compile(r"^(F\d{4} |[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b)")
_BOX = re.compile(r"^╭.*\n│(.*)│\n(?:│.*\n)*╰.*$", re.MULTILINE)
"""What Typer, tyro and Rich draw around an error; its first line says most."""
_NUM_LAST_LINES = 20


def classify(
    exit_status: int | None,
    stderr_tail: str,
    *,
    timeout_s: float | None = None,
    how: str | None = None,
    thread_events_delta: int = 0,
    oom_events_delta: int = 0,
    peak_host_bytes: int | None = None,
    host_budget_bytes: int | None = None,
    peak_maps: int | None = None,
    max_maps: int | None = None,
) -> tuple[OutcomeKind, str]:
    """Return the kind and one sentence for a process that ended, or hung, without a report.

    `exit_status` is as `subprocess` has it: negative is a signal, as a shell's 137 is, and `None`
    is a process that had to be killed: its time was up, or it ended as `how` says. The deltas are
    of the cgroup's counters over its life: threads that were refused, processes that were killed
    for memory. Others may wait for these.
    """
    how = how or describe_exit(exit_status, timeout_s)
    if exit_status is not None and exit_status - _OF_A_SHELL in _FROM_OUTSIDE:
        exit_status = _OF_A_SHELL - exit_status
    is_from_outside = exit_status is not None and -exit_status in _FROM_OUTSIDE
    words = f"{stderr_tail}\nBus error" if exit_status in _BUS_ERROR else stderr_tail
    signature, quote = _first_to_match(words) or (None, "")
    # Who is ended had lived on after an error, as TensorFlow does on the CPU without a GPU.
    lived_on = exit_status is None or is_from_outside
    if signature is not None and (signature.kind.is_limit or not lived_on):
        return signature.kind, f"{how}: {signature.cause} ({quote}). {signature.remedy}"
    if thread_events_delta > 0:
        return (
            OutcomeKind.THREAD_LIMIT,
            f"{how} after the cgroup refused {thread_events_delta} threads. {_FEWER_THREADS}",
        )
    if oom_events_delta > 0:
        return (
            OutcomeKind.HOST_MEMORY,
            f"{how} after the kernel killed a process for memory. {_LESS_MEMORY}",
        )
    if exit_status is None:
        return (
            OutcomeKind.TIMEOUT,
            f"{how}{f', after {quote}' if quote else ''}. Raise --trial-timeout, or --max-time, if "
            "it only needs longer.",
        )
    if exit_status == -signal.SIGKILL and _is_near(peak_host_bytes, host_budget_bytes):
        return (
            OutcomeKind.HOST_MEMORY,
            f"{how} at {peak_host_bytes} of {host_budget_bytes} bytes. {_LESS_MEMORY}",
        )
    if exit_status != 0 and _is_near(peak_maps, max_maps):
        return (
            OutcomeKind.HOST_MEMORY,
            f"{how} with {peak_maps} of {max_maps} memory maps (vm.max_map_count). "
            "Look for a recompilation in each update, or raise that limit.",
        )
    if is_from_outside:
        return (
            OutcomeKind.NODE_LOST,
            f"{how}, by someone: there is no sign that memory ran out. "
            "Find out who ends processes on this machine.",
        )
    return OutcomeKind.ERROR, f"{how} without a report; its log says: {last_words(stderr_tail)}"


def _first_to_match(words: str) -> tuple[Signature, str] | None:
    for signature in SIGNATURES:
        if found := signature.pattern.search(words):
            return signature, printable(found[0], _MAX_QUOTE)
    return None


def describe_exit(exit_status: int | None, timeout_s: float | None = None) -> str:
    """Return how the process ended, in words."""
    if exit_status is None:
        return "the trial's time was up" + ("" if timeout_s is None else f" ({timeout_s:g} s)")
    if exit_status >= 0:
        return f"the trial exited with status {exit_status}"
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:
        name = f"signal {-exit_status}"
    return f"the trial was ended by {name}"


def last_words(stderr_tail: str) -> str:
    """Return the line that says most: an exception or a fatal log line, else the last one."""
    unboxed = _BOX.sub(lambda box: box[1].strip(), stderr_tail)
    written = [line for line in unboxed.splitlines() if line.strip()]
    lines = [line for line in written if not _NOISE.match(line)][-_NUM_LAST_LINES:]
    verdicts = [line for line in lines if _VERDICT.match(line)]
    return printable((verdicts or lines or written[:1] or ["(none)"])[-1], _MAX_QUOTE)


def _is_near(peak: int | None, limit: int | None) -> bool:
    return peak is not None and limit is not None and peak >= NEAR_LIMIT * limit


def printable(text: str, most: int) -> str:
    """Return the text in one line of at most `most` characters; what cannot be printed, escaped."""
    line = " ".join(text[: 4 * most].split())
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return line if len(line) <= most else f"{line[: most - 3]}..."
