"""The verdict on machines of every kind, none of which is this one."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from cluster.node.container import Container
from cluster.node.hardware import Gpu, GpuUsage, Machine
from cluster.node.limits import Cpus, MemoryLimit, ThreadLimit, ThreadLimits
from pids_cgroup import cpu_seconds_of_children
from places import ROOT
from tune.parse import parse_bytes
from tune.preflight import judge as preflight
from tune.preflight import view as preflight_view
from tune.preflight.findings import Findings, NotFitError, Preflight, PreflightRequest
from tune.preflight.judge import judge

GIB = 2**30
JAX = {"jax": "0.10.2", "jaxlib": "0.10.2", "ray": "2.60.0"}
GPU = Gpu(name="NVIDIA RTX 4000 Ada Generation", memory_bytes=20 * GIB, power_limit_w=130.0)
IDLE = GpuUsage(
    memory_free_bytes=19 * GIB, utilization_percent=0.0, temperature_c=40.0, power_w=10.0
)


def room_for(room: int, use: int = 10) -> ThreadLimits:
    limit = ThreadLimit(
        name="pids cgroup /c",
        limit=use + room,
        use=use,
        room=room,
        source="/c/pids.max",
        note="every thread of this container or service (cgroup v2)",
        remedy="a container with --pids-limit {limit} or more",
    )
    return ThreadLimits(limits=(limit,), binding=limit, room=room)


def cpu_host(**changes: Any) -> Findings:
    """A CPU machine of 8 cores and 16 free GiB, but for `changes` (versions go to the machine)."""
    machine = Machine(
        gpus=(),
        driver_version=None,
        cuda_driver_version=None,
        cpu_model="AMD EPYC",
        num_cpus=8,
        cpu_quota_cores=None,
        ram_bytes=32 * GIB,
        os="Linux 6.8.0 x86_64",
        python="3.12.3",
        versions=changes.pop("versions", JAX),
    )
    findings = Findings(
        machine=machine,
        gpu_usage=(),
        hidden_gpus=0,
        thread_limits=room_for(10_000),
        cpus=Cpus(allowed=tuple(range(8)), quota_cores=None, online=8),
        host_memory=MemoryLimit(
            total_bytes=32 * GIB, available_bytes=16 * GIB, source="/proc/meminfo"
        ),
        container=None,
    )
    return dataclasses.replace(findings, **changes)


def gpu_host(
    *, cuda: str = "13.0", plugin: str | None = "jax-cuda13-plugin", **changes: Any
) -> Findings:
    """A machine with a GPU, its driver, and JAX with (or without) a CUDA plugin."""
    versions = changes.pop("versions", JAX) | ({plugin: "0.10.2"} if plugin else {})
    findings = cpu_host(versions=versions, gpu_usage=(IDLE,))
    machine = dataclasses.replace(
        findings.machine,
        gpus=changes.pop("gpus", (GPU,)),
        driver_version="580.65.06",
        cuda_driver_version=cuda,
    )
    return dataclasses.replace(findings, machine=machine, **changes)


def verdict(findings: Findings, **options: Any) -> Preflight:
    environ = options.pop("environ", {})
    return judge(findings, PreflightRequest(**options), environ=environ)


def test_a_cpu_machine_is_fit() -> None:
    found = verdict(cpu_host())
    assert (found.fit, found.platform, found.warnings) == (True, "cpu", ())
    assert found.thread_env
    assert (found.thread_env.cap, found.trial_threads, found.ray_threads) == (4, 32, 215)
    assert found.device_budget_bytes == int(0.6 * 16 * GIB)
    assert found.host_budget_bytes == int(0.85 * 16 * GIB)


def test_a_gpu_that_is_there_is_used() -> None:
    found = verdict(gpu_host())
    assert (found.fit, found.platform) == (True, "cuda")
    assert found.thread_env
    assert found.thread_env.variables["JAX_PLATFORMS"] == "cuda"
    assert found.device_budget_bytes == int(19 * GIB * 0.9 * 0.95)


def test_the_cpu_of_a_gpu_machine_can_be_asked_for() -> None:
    found = verdict(gpu_host(plugin=None), device="cpu")
    assert (found.fit, found.platform) == (True, "cpu")


@pytest.mark.parametrize(
    ("findings", "options", "problem"),
    [
        (
            cpu_host(),
            {"device": "gpu"},
            "--device gpu needs a GPU: NVML, the NVIDIA driver, shows none. Check nvidia-smi, or "
            "search on the CPU with --device cpu.",
        ),
        (
            cpu_host(hidden_gpus=1),
            {"device": "gpu"},
            "--device gpu needs a GPU: CUDA_VISIBLE_DEVICES hides it. Check nvidia-smi",
        ),
        (
            cpu_host(versions={}),
            {},
            "JAX is missing: jax or jaxlib is not installed. Run: pip install -e '.[cpu]'",
        ),
        (
            gpu_host(versions={}, plugin=None),
            {},
            "JAX is missing: jax or jaxlib is not installed. Run: pip install -e '.[cuda13]'",
        ),
        (
            gpu_host(plugin=None),
            {},
            "JAX would not use the GPU under driver 580.65.06: there is a GPU (NVIDIA RTX 4000 Ada "
            "Generation), and no CUDA plugin of JAX. Run: pip install -e '.[cuda13]'",
        ),
        (
            gpu_host(cuda="12.4", plugin="jax-cuda13-plugin"),
            {},
            "JAX would not use the GPU under driver 580.65.06: there is a GPU (NVIDIA RTX 4000 Ada "
            "Generation), and jax-cuda13-plugin of JAX. Run: pip install -e '.[cuda12]'",
        ),
        (
            gpu_host(versions=JAX | {"torch": "2.13.0+cpu"}),
            {"framework": "torch"},
            "PyTorch for cuda is missing: torch is 2.13.0+cpu. Run: pip install torch",
        ),
        (
            cpu_host(thread_limits=room_for(90)),
            {},
            "pids cgroup /c leaves no room for threads: 100 allowed, 10 in use, 248 more needed. "
            "The smallest limit that would do is 258: a container with --pids-limit 258 or more.",
        ),
        (
            cpu_host(thread_limits=room_for(260)),
            {"thread_cap": 8},
            "The smallest limit that would do is 293: a container with --pids-limit 293 or more, "
            "or take --thread-cap 3.",
        ),
        (
            cpu_host(missing_dashboard_packages=("aiohttp",)),
            {"dashboard": True},
            "--dashboard needs more packages: aiohttp are not installed. Run: pip install",
        ),
    ],
)
def test_what_keeps_a_search_from_running_is_said_with_what_to_do(
    findings: Findings, options: dict[str, Any], problem: str
) -> None:
    found = verdict(findings, **options)
    assert not found.fit
    assert problem in str(found.problems[0])
    with pytest.raises(NotFitError) as raised:
        preflight.require_fit(found)
    assert str(raised.value) == str(found.problems[0])


def test_an_older_cuda_plugin_runs_under_a_newer_driver() -> None:
    assert verdict(gpu_host(cuda="13.0", plugin="jax-cuda12-plugin")).fit


def test_an_xla_flag_that_would_end_every_trial_is_a_problem() -> None:
    pytest.importorskip("jaxlib")
    found = verdict(cpu_host(), environ={"XLA_FLAGS": "--xla_no_such_flag=1"})
    assert "does not know --xla_no_such_flag" in str(found.problems[0])


@pytest.mark.parametrize(
    ("findings", "options", "warning"),
    [
        (cpu_host(hidden_gpus=1), {}, "CUDA_VISIBLE_DEVICES hides the GPU"),
        (
            gpu_host(gpus=(GPU, dataclasses.replace(GPU, power_limit_w=70.0))),
            {},
            "the GPUs differ",
        ),
        (
            gpu_host(gpu_usage=(dataclasses.replace(IDLE, memory_free_bytes=8 * GIB),)),
            {},
            "another program holds 12.0 GiB of the GPU's memory",
        ),
        (
            cpu_host(
                host_memory=MemoryLimit(total_bytes=GIB, available_bytes=GIB, source="cgroup")
            ),
            {},
            "only 1.00 GiB of host memory are available.",
        ),
        (
            cpu_host(),
            {"memory_budget_bytes": 64 * GIB},
            "the memory budget of 64.0 GiB is more than the 16.0 GiB that are free.",
        ),
        (
            cpu_host(),
            {"environ": {"OMP_NUM_THREADS": "64"}},
            "OMP_NUM_THREADS=64 of your environment becomes 1 in trials.",
        ),
    ],
)
def test_what_a_person_should_know_is_a_warning(
    findings: Findings, options: dict[str, Any], warning: str
) -> None:
    found = verdict(findings, **options)
    assert found.fit
    assert warning in "\n".join(found.warnings)


def test_a_persons_own_budget_and_cap_are_taken() -> None:
    found = verdict(cpu_host(), memory_budget_bytes=5 * GIB, thread_cap=2)
    assert found.device_budget_bytes == 5 * GIB
    assert found.thread_env
    assert found.thread_env.cap == 2


def test_a_persons_own_memory_fraction_bounds_the_budget() -> None:
    found = verdict(gpu_host(), environ={"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"})
    assert found.device_budget_bytes == int(19 * GIB * 0.5 * 0.95)


def test_trials_side_by_side_share_the_host() -> None:
    found = verdict(cpu_host(), num_parallel_trials=2)
    assert found.device_budget_bytes == int(0.6 * 16 * GIB) // 2
    assert found.host_budget_bytes == int(0.85 * 16 * GIB) // 2
    assert found.ray_threads == 240


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thread_cap": 0}, "--thread-cap must be at least 1, got 0"),
        ({"memory_budget_bytes": -1}, "--memory-budget must be at least 1, got -1"),
        (
            {"environ": {"XLA_CLIENT_MEM_FRACTION": "most"}},
            "XLA_CLIENT_MEM_FRACTION must be a number, got 'most'",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verdict(gpu_host(), **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", 8 * GIB), ("500MB", 500_000_000), ("1.5 gib", 3 * GIB // 2), ("1234", 1234)],
)
def test_sizes_are_read_with_their_units(text: str, expected: int) -> None:
    assert parse_bytes("--memory-budget", text) == expected


@pytest.mark.parametrize("text", ["", "0", "GiB", "8 bananas", "-3GiB"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--memory-budget is a size like 8GiB or 500MB, got"):
        parse_bytes("--memory-budget", text)


def test_the_verdict_reads_as_a_sentence() -> None:
    assert preflight_view.meaning(verdict(cpu_host())) == (
        "Fit. Ray takes about 215 threads, a trial at most 32; pids cgroup /c is the tightest "
        "limit and has room for 10000. Each trial is a process of its own on CPUs 0-3."
    )


def test_every_limit_is_shown_and_the_binding_one_is_marked() -> None:
    container = Container(evidence=("/.dockerenv",), provider="Vast", gvisor=False)
    rows = preflight_view.sections(verdict(gpu_host(container=container)))
    assert rows["Limits on threads"] == [
        (
            "pids cgroup /c",
            "10010, 10 in use, room for 10000 threads, every thread of this container or service "
            "(cgroup v2) <- binds",
        )
    ]
    assert ("platform", "cuda, in a Vast container (/.dockerenv)") in rows["Machine"]
    assert ("GPU", "NVIDIA RTX 4000 Ada Generation (20.0 GiB, 130 W)") in rows["Machine"]
    assert ("JAX_PLATFORMS", "cuda") in rows["Environment of a trial"]


def test_a_terminal_gets_a_panel_with_the_same_words() -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(preflight_view.render(verdict(cpu_host(thread_limits=room_for(90)))))
    assert "The smallest limit that would do is 258" in console.export_text()


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tune.preflight", *arguments],
        env=os.environ | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_prints_json_for_machines() -> None:
    done = run("--device", "cpu", "--json")
    printed = json.loads(done.stdout)
    assert printed["fit"] is (done.returncode == 0)
    assert printed["platform"] == "cpu"


def test_a_machine_that_is_not_fit_is_exit_1() -> None:
    pytest.importorskip("jaxlib")
    done = run("--device", "cpu", XLA_FLAGS="--xla_no_such_flag")
    assert done.returncode == 1
    assert "  problem: XLA_FLAGS of your environment would end every trial" in done.stdout


def test_the_command_prints_plain_lines_without_a_terminal() -> None:
    done = run("--device", "cpu")
    assert "Limits on threads\n  RLIMIT_NPROC: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--memory-budget", "lots"),
            "error: --memory-budget is a size like 8GiB or 500MB, got 'lots'.",
        ),
        (("--thread-cap", "0"), "error: --thread-cap must be at least 1, got 0."),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_an_unknown_option_is_exit_2() -> None:
    assert run("--no-such-option").returncode == 2


def test_help_answers_at_once_and_imports_no_framework() -> None:
    before = cpu_seconds_of_children()
    assert run("--help").returncode == 0
    assert cpu_seconds_of_children() - before < 1  # 0.2 s on a quiet machine
    heavy = "{'ray', 'jax', 'numpy', 'rich'} & set(sys.modules)"
    code = f"import tune.preflight, sys; raise SystemExit(bool({heavy}))"
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
