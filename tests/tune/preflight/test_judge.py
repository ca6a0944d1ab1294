"""The verdict on machines of every kind, none of which is this one."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from cluster.node.limits import Cpus, MemoryLimit
from machines import GIB, GPU, JAX, cpu_host, gpu_host, room_for, verdict, visible, with_free
from tune.preflight import judge as preflight
from tune.preflight.findings import Findings, NotFitError


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
    assert found.thread_env.variables["JAX_PLATFORMS"] == "cuda,cpu"
    assert found.device_budget_bytes == int(19 * GIB * 0.9 * 0.95)


def test_the_cpu_of_a_gpu_machine_can_be_asked_for() -> None:
    found = verdict(gpu_host(plugin=None), device="cpu")
    assert (found.fit, found.platform) == (True, "cpu")


def several(
    num_gpus: int, *, held: Sequence[int] = (), others: Sequence[int] = (), **changes: Any
) -> Findings:
    """A machine of so many GPUs, some held, some of another kind, with 64 CPUs and 100 free GiB."""
    cpus = Cpus(allowed=tuple(range(64)), quota_cores=None, online=64)
    memory = MemoryLimit(total_bytes=128 * GIB, available_bytes=100 * GIB, source="/proc/meminfo")
    gpus = (
        with_free(3 * GIB if n in held else 19 * GIB, str(n), H100 if n in others else GPU)
        for n in range(num_gpus)
    )
    return gpu_host(*gpus, **{"cpus": cpus, "host_memory": memory} | changes)


H100 = dataclasses.replace(GPU, name="NVIDIA H100 80GB HBM3")


@pytest.mark.parametrize(
    ("findings", "max_gpus", "gpus", "cap"),
    [
        (several(1), None, (), 16),
        (several(2), None, ("0", "1"), 16),
        (several(8), None, tuple("01234567"), 8),
        (several(8), 3, ("0", "1", "2"), 16),
        (several(8), 1, (), 16),
        (several(4, others=(1, 3)), None, ("0", "2"), 16),
        (several(4, held=(1,)), None, ("0", "2", "3"), 16),
        (several(2, held=(0,)), None, (), 16),  # on the idle one alone
        (several(2, held=(0,), others=(1,)), None, (), 16),
    ],
)
def test_trials_side_by_side_take_all_idle_gpus_of_the_first_kind(
    findings: Findings, max_gpus: int | None, gpus: tuple[str, ...], cap: int
) -> None:
    found = verdict(findings, max_gpus=max_gpus)
    assert found.fit
    assert tuple(place.name for place in found.gpus) == gpus
    assert found.num_places == max(len(gpus), 1)
    assert found.thread_env is not None
    assert found.thread_env.cap == cap
    assert {len(place.cpus) for place in found.gpus} <= {cap}
    assert found.host_budget_bytes == int(0.85 * 100 * GIB) // found.num_places
    assert found.device_budget_bytes == verdict(findings).device_budget_bytes
    assert not [warning for warning in found.warnings if "stay idle" in warning]


def test_the_budget_holds_on_all_gpus_that_take_trials() -> None:
    used = with_free(18 * GIB + GIB // 2, "2")  # by its desktop
    findings = several(3)
    findings = findings.of_gpus([*findings.gpus[:2], used])
    all_of_them = verdict(findings, max_gpus=None)
    assert all_of_them.num_places == 3
    assert all_of_them.device_budget_bytes == int(18.5 * GIB * 0.9 * 0.95)
    assert verdict(findings, max_gpus=2).device_budget_bytes == int(19 * GIB * 0.9 * 0.95)


def test_no_more_trials_side_by_side_than_there_is_room_for() -> None:
    one = verdict(several(1), max_gpus=None)
    assert one.trial_threads is not None
    least = verdict(several(1), thread_cap=1)
    assert least.trial_threads is not None
    room = 190 + 3 * (25 + least.trial_threads) + 60
    found = verdict(several(8, thread_limits=room_for(room)), max_gpus=None)
    assert found.fit
    assert 1 < found.num_places < 8
    num = found.num_places
    assert f"pids cgroup /c has room for trials on {num} of 8 GPUs: the others stay idle." in (
        found.warnings
    )
    memory = MemoryLimit(total_bytes=128 * GIB, available_bytes=8 * GIB, source="/proc/meminfo")
    found = verdict(several(8, host_memory=memory), max_gpus=None)
    assert [place.name for place in found.gpus] == ["0", "1", "2"]
    assert "the host's memory has room for trials on 3 of 8 GPUs: the others stay idle." in (
        found.warnings
    )
    found = verdict(several(8), max_gpus=None, thread_cap=12)
    assert found.num_places == 5
    assert "the number of CPUs has room for trials on 5 of 8 GPUs: the others stay idle." in (
        found.warnings
    )


@pytest.mark.parametrize(
    ("findings", "problem"),
    [
        (several(2), "--gpus 4 are not there: 2 of one kind that no other program holds. Take --g"),
        (cpu_host(), "--gpus 4 are not there: none. Leave it out."),
    ],
)
def test_more_gpus_than_there_are_is_a_problem(findings: Findings, problem: str) -> None:
    found = verdict(findings, max_gpus=4)
    assert str(found.problems[0]).startswith(problem)


def test_a_host_of_a_cluster_has_as_many_places_as_ray_counts() -> None:
    found = verdict(several(8), num_parallel_trials=8, ray_runs=True)
    assert found.gpus == ()
    assert found.host_budget_bytes == int(0.85 * 100 * GIB) // 8


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
            "PyTorch for cuda is missing: torch is 2.13.0+cpu. Run: pip install --force-",
        ),
        (
            cpu_host(thread_limits=room_for(90)),
            {},
            "pids cgroup /c leaves no room for threads: 100 allowed, 10 in use, 248 more needed. "
            "The smallest limit that would do is 258: a container with --pids-limit 258 or more.",
        ),
        (  # it was tried out, and starts a Ray of its own
            cpu_host(thread_limits=room_for(300)),
            {"more_threads": 164},
            "pids cgroup /c leaves no room for threads: 310 allowed, 10 in use, 412 more needed, "
            "as a trial took 164 more than others do. The smallest limit that would do is 422: ",
        ),
        (
            cpu_host(thread_limits=room_for(260)),
            {"thread_cap": 8},
            "The smallest limit that would do is 293: a container with --pids-limit 293 or more, "
            "or take --thread-cap 3.",
        ),
        (
            gpu_host(with_free(GIB // 5)),
            {},
            "no trial fits into the GPU's memory: 205 MiB of 20.0 GiB are free. End the program",
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
            gpu_host(visible(), visible("1", dataclasses.replace(GPU, power_limit_w=70.0))),
            {},
            "the GPUs differ (rtx-4000-ada-generation-20gb-130w, "
            "rtx-4000-ada-generation-20gb-70w), and",
        ),
        (
            gpu_host(with_free(8 * GIB)),
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


def test_a_command_may_take_nearly_all_of_a_gpu() -> None:
    """It fits into what XLA's pool is to leave, as an LLM's server does that takes 90 %."""
    found = verdict(gpu_host(), framework="any", environ={"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"})
    assert found.device_budget_bytes == int(19 * GIB * 0.98)


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
    ],
)
def test_an_option_that_makes_no_sense_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verdict(gpu_host(), **options)
