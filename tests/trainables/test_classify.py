"""The table of deaths, against what the libraries really print."""

import json
import signal

import pytest

from places import ROOT
from trainables.classify import classify, last_words
from trainables.measurement import OutcomeKind

THREAD_LIMIT = OutcomeKind.THREAD_LIMIT
DEVICE_MEMORY = OutcomeKind.DEVICE_MEMORY
HOST_MEMORY = OutcomeKind.HOST_MEMORY
ERROR = OutcomeKind.ERROR
NODE_LOST = OutcomeKind.NODE_LOST
INVALID = OutcomeKind.INVALID

# (exit status, stderr, kind). Seen with jaxlib 0.10.2, torch 2.13, NumPy 2.4, or marked as read.
SAMPLES = [
    # An H100, jaxlib 0.11.2: too large a program; and a card of which another process holds 99 %
    (
        1,
        "W1127 03:14:30.126519   27489 hlo_rematerialization.cc:3363] Can't reduce memory use "
        "below 67.70GiB (72691501856 bytes) by rematerialization; only reduced to 98.51GiB\n"
        "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate "
        "99.19GiB with allocator GPU_0_bfc on device 0. [tf-allocator-allocation-error='']",
        DEVICE_MEMORY,
    ),
    (
        1,
        "E1127 cuda_executor.cc:1365] [0] Failed to allocate device memory: RESOURCE_EXHAUSTED: : "
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory\n"
        "    raise RuntimeError(err_msg)\nRuntimeError: Unable to initialize backend 'cuda': "
        "INTERNAL: no supported devices found for platform CUDA (set JAX_PLATFORMS='' to "
        "automatically choose an available backend)",
        ERROR,
    ),
    # Other stacks, by their sources and issues
    (
        1,
        "PxgCudaDeviceMemoryAllocator.cpp (101) : internal error : "
        "PxgCudaDeviceMemoryAllocator fail to allocate memory 339738624 bytes!! Result = 2\n"
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        DEVICE_MEMORY,
    ),
    (
        0,
        "[Error] [carb.graphics-vulkan.plugin] VkResult: ERROR_OUT_OF_DEVICE_MEMORY",
        DEVICE_MEMORY,
    ),
    (1, "Warp CUDA error 2: out of memory (in function wp_alloc_device_default)", DEVICE_MEMORY),
    (1, "RuntimeError: Failed to allocate 8589934592 bytes on device 'cuda:0'", DEVICE_MEMORY),
    (
        1,
        "jax.errors.JaxRuntimeError: UNKNOWN: Failed to determine best cudnn convolution algorithm",
        DEVICE_MEMORY,
    ),
    (
        1,
        'RuntimeError: NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/'
        'CUDACachingAllocator.cpp":1165, please report a bug to PyTorch. ',
        DEVICE_MEMORY,
    ),
    (
        1,
        "RuntimeError: NVML_SUCCESS == DriverAPI::get()->nvmlDeviceGetHandleByPciBusId_v2_( "
        'pci_id, &nvml_device) INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp"'
        ":1139, please report a bug to PyTorch.",
        DEVICE_MEMORY,
    ),
    (
        1,
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating "
        "tensor with shape[8192,8192] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
        DEVICE_MEMORY,
    ),
    (
        1,
        "ResourceExhaustedError: OOM when allocating tensor with shape[799350,1024] and type "
        "float on /job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu",
        HOST_MEMORY,
    ),
    (
        -11,
        "[Error] [carb.gym.plugin] Gym cuda error: out of memory: "
        "../../../source/plugins/carb/gym/impl/Gym/GymPhysX.cpp: 1721",
        DEVICE_MEMORY,
    ),
    (
        -6,
        "terminate called after throwing an instance of 'thrust::system::detail::bad_alloc'\n"
        "  what():  std::bad_alloc: cudaErrorMemoryAllocation: out of memory",
        DEVICE_MEMORY,
    ),
    (1, "box:1:1 [0] enqueue.cc:402 NCCL WARN Cuda failure 2 'out of memory'", DEVICE_MEMORY),
    (
        1,
        "ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine.",
        DEVICE_MEMORY,
    ),
    (
        1,
        "ValueError: Free memory on device (3.1/24.0 GiB) on startup is less than desired GPU "
        "memory utilization (0.9, 21.6 GiB).",
        DEVICE_MEMORY,
    ),
    (
        1,
        '  File "a2c_common.py", line 238, in __init__\n'
        "    assert(self.batch_size % self.minibatch_size == 0)\nAssertionError",
        INVALID,
    ),
    (
        1,
        '  File "train.py", line 160, in train\n'
        "    assert batch_size * num_minibatches % num_envs == 0\n"
        "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\nAssertionError",
        INVALID,
    ),
    (1, "ValueError: The global batch size (6) must be divisible by the number of", INVALID),
    (1, "AssertionError: num_envs must be a multiple of num_workers", INVALID),
    (1, "AssertionError: the wallet is empty", ERROR),
    # XLA, one sentence for every pool
    (
        -6,
        "F1123 22:02:06.574384    9915 env.cc:93] Check failed: ret == 0 (11 vs. 0) "
        "Thread tf_foreach creation via pthread_create() failed.",
        THREAD_LIMIT,
    ),
    (
        -6,
        "F1 env.cc:93] Check failed: ret == 0 (11 vs. 0) "
        "Thread tf_ creation via pthread_create() failed.",
        THREAD_LIMIT,
    ),
    (-6, "... Thread SlowOperationAlarm creation via pthread_create() failed.", THREAD_LIMIT),
    (
        -6,
        "Check failed: ret == 0 (11 vs. 0)Thread tf_XLATfrtCpuClient creation via "
        "pthread_create() failed.",
        THREAD_LIMIT,
    ),
    # LLVM: SIGABRT on the CPU, exit 1 from the CUDA plugin
    (
        -6,
        "E1 error_handler.cc:38] LLVM ERROR: pthread_create failed: "
        "Resource temporarily unavailable",
        THREAD_LIMIT,
    ),
    (1, "LLVM ERROR: pthread_create failed: Resource temporarily unavailable", THREAD_LIMIT),
    # OpenBLAS interrupts its own process
    (
        -2,
        "OpenBLAS blas_thread_init: pthread_create failed for thread 60 of 64: "
        "Resource temporarily unavailable\nTraceback\nKeyboardInterrupt",
        THREAD_LIMIT,
    ),
    (1, "libgomp: Thread creation failed: Resource temporarily unavailable", THREAD_LIMIT),
    (
        1,
        'Traceback (most recent call last):\n  File "threading.py", line 964, in start\n'
        "    _start_new_thread(self._bootstrap, ())\nRuntimeError: can't start new thread",
        THREAD_LIMIT,
    ),
    (1, "BlockingIOError: [Errno 11] Resource temporarily unavailable", THREAD_LIMIT),
    (1, "jax.errors.JaxRuntimeError: INTERNAL: Failed to launch ptxas", THREAD_LIMIT),
    (
        -6,
        "E0 thd.cc:157]                           pthread_create failed: "
        "Resource temporarily unavailable",
        THREAD_LIMIT,
    ),
    (
        -6,
        "terminate called after throwing an instance of 'std::system_error'\n"
        "  what():  Resource temporarily unavailable",
        THREAD_LIMIT,
    ),
    (
        -6,
        "Unhandled exception: N5boost10wrapexceptINS_6system12system_errorEEE. what(): "
        "thread: Resource temporarily unavailable [system:11]",
        THREAD_LIMIT,
    ),
    (
        101,
        "ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: WouldBlock, "
        'message: "Resource temporarily unavailable" }) }',
        THREAD_LIMIT,
    ),
    (
        1,
        "OMP: Error #34: System unable to allocate necessary resources for OMP thread:",  # read
        THREAD_LIMIT,
    ),
    (254, "bash: fork: retry: Resource temporarily unavailable", THREAD_LIMIT),
    # device memory
    (
        1,
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to "
        "allocate 4770354232 bytes.",
        DEVICE_MEMORY,
    ),
    (
        1,
        "RESOURCE_EXHAUSTED: Failed to allocate request for 6.27GiB (6727663616B) on device "
        "ordinal 0",
        DEVICE_MEMORY,
    ),
    (
        1,
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.95 GiB. GPU 0 has a total "
        "capacity of 14.57 GiB",
        DEVICE_MEMORY,
    ),
    (1, "RuntimeError: CUDA error: out of memory", DEVICE_MEMORY),
    (1, "RuntimeError: CUDA driver error: out of memory", DEVICE_MEMORY),
    (1, "RuntimeError: Triton Error [CUDA]: out of memory", DEVICE_MEMORY),
    (
        1,
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        DEVICE_MEMORY,
    ),
    # host memory
    (
        1,
        "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating "
        "16000000000000 bytes.",
        HOST_MEMORY,
    ),
    (
        1,
        "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 16000000000000 bytes. Error code 12",
        HOST_MEMORY,
    ),
    (
        1,
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 29.1 TiB for an array",
        HOST_MEMORY,
    ),
    (1, "Traceback (most recent call last):\nMemoryError", HOST_MEMORY),
    (
        -6,
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  "
        "std::bad_alloc",
        HOST_MEMORY,
    ),
    (-6, "[low_level_alloc.cc : 570] RAW: mmap error: 12", HOST_MEMORY),
    # no GPU, wrong flags, full disk: a person must change something
    (
        1,
        "RuntimeError: jaxlib/cuda/versions_helpers.cc:135: operation cuInit(0) failed: "
        "Unknown CUDA error 303",
        ERROR,
    ),
    (1, "RuntimeError: Found no NVIDIA driver on your system.", ERROR),
    (1, "    assert _default_backend is not None\n           ^^^^^^^^^\nAssertionError", ERROR),
    (
        1,
        "F1123 21:57:08.214716   29009 parse_flags_from_env.cc:234] Unknown flag in XLA_FLAGS: "
        "--xla_gpu_graph_level=0",
        ERROR,
    ),
    (1, "OSError: [Errno 28] No space left on device: '/tmp/x'", ERROR),
    # nothing that anyone knows
    (1, "ValueError: the workload is broken", ERROR),
    (-11, "Fatal Python error: Segmentation fault", ERROR),
    (-9, "", NODE_LOST),
    (0, "", ERROR),
]


@pytest.mark.parametrize(("exit_status", "stderr", "kind"), SAMPLES)
def test_real_deaths_are_told_apart(exit_status: int, stderr: str, kind: OutcomeKind) -> None:
    found, sentence = classify(exit_status, stderr)
    assert found is kind, sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(("exit_status", "stderr", "kind"), SAMPLES)
def test_the_line_is_found_in_a_log_that_says_much_more(
    exit_status: int, stderr: str, kind: OutcomeKind
) -> None:
    before = "I0000 cuda_executor.cc: a harmless line\n" * 50
    log = f"{before}{stderr}\n*** Check failure stack ***\n"
    assert classify(exit_status, log)[0] is kind


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("Unknown flag in XLA_FLAGS: --xla_gpu_graph_level=0", "--xla_gpu_graph_level=0"),
        ("Thread tf_foreach creation via pthread_create() failed.", "smaller thread cap"),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.", "99 bytes"),
        ("RuntimeError: Found no NVIDIA driver on your system.", "nvidia-smi"),
        (
            "triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error\n"
            "`ptxas` stderr:\nptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"
            "\n\nRepro command: ptxas -lineinfo -v --gpu-name=sm_121a /tmp/tmpkw7ug6t8.ptx",
            "built for other GPUs",
        ),
        (
            "E cuda_dnn.cc:466] Loaded runtime CuDNN library: 9.5.1 but source was compiled with: "
            "9.8.0.  CuDNN library needs to have matching major version\n"
            "jaxlib.xla_extension.XlaRuntimeError: FAILED_PRECONDITION: DNN library initialization "
            "failed. Look at the errors above for more details.",
            "with: 9.8.0). Unset LD_LIBRARY_PATH",
        ),
        (
            "ERROR:jax._src.xla_bridge:444: Jax plugin configuration error: Exception when calling "
            "jax_plugins.xla_cuda12.initialize()\nRuntimeError: Unable to load cuSPARSE. Is it "
            "installed?\nRuntimeError: Unable to initialize backend 'cuda': Backend 'cuda' is not "
            "in the list of known backends: ['cpu']",
            "Unable to load cuSPARSE. Is it installed?). Unset LD_LIBRARY_PATH",
        ),
        (
            "RuntimeError: Outdated cuDNN installation found.\nVersion JAX was built against: 9.1",
            "Unset LD_LIBRARY_PATH",
        ),
        (
            "ImportError: /venv/lib/python3.10/site-packages/torch/lib/../../nvidia/cusparse/lib/"
            "libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version "
            "libnvJitLink.so.12",
            "Unset LD_LIBRARY_PATH",
        ),
        (
            "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda "
            "functions before calling NumCudaDevices() that might have already set an error? "
            "Error 804: forward compatibility was attempted on non supported HW",
            "Unset LD_LIBRARY_PATH",
        ),
        (
            "E cuda_platform.cc:51] failed call to cuInit: INTERNAL: CUDA error: Failed call to "
            "cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was "
            "attempted on non supported HW",
            "Unset LD_LIBRARY_PATH",
        ),
        (
            "RuntimeError: cuDNN version incompatibility: PyTorch was compiled  against (9, 1, 0) "
            "but found runtime version (8, 9, 2).",
            "Unset LD_LIBRARY_PATH",
        ),
        ("    assert _default_backend is not None\nAssertionError", "no usable GPU"),
        ("[low_level_alloc.cc : 570] RAW: mmap error: 12", "vm.max_map_count"),
        ("ValueError: the workload is broken", "ValueError: the workload is broken"),
    ],
)
def test_the_sentence_holds_the_evidence_or_what_to_do(stderr: str, words: str) -> None:
    assert words in classify(1, stderr)[1]


@pytest.mark.parametrize(
    ("exit_status", "last", "kind"),
    [
        (None, "", OutcomeKind.TIMEOUT),
        (-signal.SIGKILL, "", NODE_LOST),
        (1, "ValueError: x", ERROR),
        (1, "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9GiB", DEVICE_MEMORY),
        (1, "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory", DEVICE_MEMORY),
    ],
)
def test_a_pool_that_asks_for_less_is_no_death(
    exit_status: int | None, last: str, kind: OutcomeKind
) -> None:
    """An H100 of which another process held 90 %: the trial with this log trained."""
    record = json.loads((ROOT / "benchmarks/gpu/h100-80gb-hbm3-80gb-700w.json").read_text())
    row = record["parts"]["deaths"]["rows"]["another process holds 90%"]
    assert row["log"].count("CUDA_ERROR_OUT_OF_MEMORY") == 7
    found, sentence = classify(exit_status, f"{row['log']}\n{last}")
    assert found is kind
    assert last in sentence or not last


@pytest.mark.parametrize(
    "line",
    [
        # Of TensorFlow and JAX; the source says that it "isn't always important to users".
        "I external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:1193] failed to allocate "
        "13.76GiB (14773796864 bytes) from device: RESOURCE_EXHAUSTED: : "
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "E tensorflow/stream_executor/cuda/cuda_driver.cc:806] failed to allocate 12.38G "
        "(13296416768 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "E tensorflow/stream_executor/cuda/cuda_driver.cc:851] failed to alloc 4294967296 bytes "
        "on host: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ],
)
def test_nor_is_one_of_another_framework(line: str) -> None:
    assert classify(None, line)[0] is OutcomeKind.TIMEOUT
    assert classify(1, f"{line}\nValueError: x")[0] is ERROR
    after = f"{line}\nE cuda_blas.cc] failed to create handle: CUDA_ERROR_OUT_OF_MEMORY"
    assert classify(1, after)[0] is DEVICE_MEMORY


NO_GPU = "E cuda_driver.cc:271] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device"


@pytest.mark.parametrize(
    ("exit_status", "stderr", "evidence", "kind"),
    [
        (1, NO_GPU, {}, ERROR),
        (-6, NO_GPU, {}, ERROR),
        (-9, NO_GPU, {}, NODE_LOST),
        (143, NO_GPU, {}, NODE_LOST),
        (-9, NO_GPU, {"oom_events_delta": 1}, HOST_MEMORY),
        (-9, NO_GPU, {"peak_host_bytes": 95, "host_budget_bytes": 100}, HOST_MEMORY),
        (-9, f"{NO_GPU}\nMemoryError", {}, HOST_MEMORY),
        (None, NO_GPU, {}, OutcomeKind.TIMEOUT),
        (None, f"{NO_GPU}\nMemoryError", {}, HOST_MEMORY),
    ],
)
def test_who_is_ended_died_of_no_error_that_it_wrote_before(
    exit_status: int | None, stderr: str, evidence: dict[str, int], kind: OutcomeKind
) -> None:
    found, sentence = classify(exit_status, stderr, **evidence)  # type: ignore[arg-type]
    assert found is kind, sentence


def test_threads_come_before_the_memory_that_fails_after_them() -> None:
    stderr = (
        "[low_level_alloc.cc : 570] RAW: mmap error: 12\n"
        "Thread tf_foreach creation via pthread_create() failed.\nCannot allocate memory"
    )
    assert classify(-6, stderr)[0] is THREAD_LIMIT


@pytest.mark.parametrize(
    ("exit_status", "evidence", "kind", "words"),
    [
        (-9, {}, NODE_LOST, "by someone"),
        (-9, {"oom_events_delta": 1}, HOST_MEMORY, "killed a process for memory"),
        (-9, {"peak_host_bytes": 95, "host_budget_bytes": 100}, HOST_MEMORY, "95 of 100 bytes"),
        (-9, {"peak_host_bytes": 50, "host_budget_bytes": 100}, NODE_LOST, "by someone"),
        (137, {}, NODE_LOST, "exited with status 137, by someone"),
        (137, {"peak_host_bytes": 95, "host_budget_bytes": 100}, HOST_MEMORY, "95 of 100 bytes"),
        (143, {}, NODE_LOST, "by someone"),
        (129, {}, NODE_LOST, "by someone"),
        (139, {"peak_host_bytes": 95, "host_budget_bytes": 100}, ERROR, "status 139"),
        (128, {}, ERROR, "status 128"),
        (9, {}, ERROR, "status 9"),
        (-11, {"peak_host_bytes": 95, "host_budget_bytes": 100}, ERROR, "SIGSEGV"),
        (1, {"oom_events_delta": 1}, HOST_MEMORY, "killed a process for memory"),
        (1, {"thread_events_delta": 3}, THREAD_LIMIT, "refused 3 threads"),
        (-6, {"peak_maps": 65_000, "max_maps": 65_530}, HOST_MEMORY, "65000 of 65530"),
        (-6, {"peak_maps": 700, "max_maps": 65_530}, ERROR, "SIGABRT"),
        (None, {"timeout_s": 5.0}, OutcomeKind.TIMEOUT, "(5 s)"),
        (None, {"thread_events_delta": 1}, THREAD_LIMIT, "refused 1 threads"),
        (
            None,
            {"oom_events_delta": 1},
            HOST_MEMORY,
            "time was up after the kernel killed a process",
        ),
    ],
)
def test_a_silent_end_is_a_limit_only_with_evidence(
    exit_status: int | None, evidence: dict[str, int], kind: OutcomeKind, words: str
) -> None:
    found, sentence = classify(exit_status, "", **evidence)  # type: ignore[arg-type]
    assert found is kind
    assert words in sentence


@pytest.mark.parametrize(
    ("exit_status", "stderr"),
    [
        (-signal.SIGBUS, ""),
        (128 + signal.SIGBUS, ""),
        (1, "train.sh: line 3: 23669 Bus error               python train.py"),
        (-signal.SIGBUS, "Fatal Python error: Bus error\n\nCurrent thread 0x1:\n"),
        (1, "exitcode  : -7 (pid: 9)\n  traceback : Signal 7 (SIGBUS) received by PID 9"),
        (
            1,
            "RuntimeError: DataLoader worker (pid 325) is killed by signal: Bus error. It is "
            "possible that dataloader's workers are out of shared memory. Please try to raise your "
            "shared memory limit.",
        ),
        (
            1,
            "RuntimeError: unable to write to file </torch_1394_27>: No space left on device (28)",
        ),
        (
            1,
            "torch.distributed.DistBackendError: NCCL error\nLast error:\nError while creating "
            "shared memory segment /dev/shm/nccl-6mKMfo (size 5242880)",
        ),
    ],
)
def test_the_64_mib_of_a_container_are_named(exit_status: int, stderr: str) -> None:
    kind, sentence = classify(exit_status, stderr)
    assert kind is ERROR
    assert "shared memory is used up" in sentence
    assert sentence.endswith("Start the container with a larger --shm-size.")


@pytest.mark.parametrize(
    "stderr",
    [
        "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the "
        "device\nCUDA kernel errors might be asynchronously reported at some other API call",
        "jax.errors.JaxRuntimeError: INTERNAL: CUDA error: Failed to load PTX: "
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported "
        "toolchain.",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12040).",
    ],
)
def test_a_build_for_another_gpu_or_driver_is_named(stderr: str) -> None:
    kind, sentence = classify(1, stderr)
    assert kind is ERROR
    assert sentence.endswith(
        "Install its build for this GPU, and for the CUDA that nvidia-smi says."
    )


def test_every_signal_has_a_name() -> None:
    assert "SIGBUS" in classify(-signal.SIGBUS, "")[1]
    assert "signal 63" in classify(-63, "")[1]


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("", "(none)"),
        ("a warning\nlast line", "last line"),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    f()\n'
            "    ^^^\nmy.package.TrainingError: lost\n--------------------\n"
            "For simplicity, JAX has removed its internal frames from the traceback.",
            "my.package.TrainingError: lost",
        ),
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call "
            'first):\n  File "x.py", line 3 in f\n\nExtension modules: numpy (total: 1)',
            "Fatal Python error: Segmentation fault",
        ),
        (
            "F1123 22:02:06 cuda.cc:9] Check failed: device is gone\n*** Check failure stack ***\n"
            "    @ 0x7f  absl::Fatal()\nFatal Python error: Aborted\n\n"
            'Current thread 0x00007f (most recent call first):\n  File "x.py", line 3 in f',
            "F1123 22:02:06 cuda.cc:9] Check failed: device is gone",
        ),
        (
            "  warnings.warn(message)\n"
            "╭─ Unrecognized options ────────────────────────────────────────╮\n"
            "│ Unrecognized options: --num-env, 2                            │\n"
            "│ ───────────────────────────────────────────────────────────── │\n"
            "│ For full helptext, run cleanrl/ppo.py --help                  │\n"
            "╰───────────────────────────────────────────────────────────────╯\n",
            "Unrecognized options: --num-env, 2",
        ),
        ("╭─ a box that was not drawn to its end ─╮\n│" + " " * 60_000, "│"),
        ("ValueError: handled long ago\n" + "a line\n" * 30, "a line"),
        ("E" * 1000, "E" * 197 + "..."),
    ],
)
def test_last_words_are_the_line_that_says_most(stderr: str, words: str) -> None:
    assert last_words(stderr) == words
