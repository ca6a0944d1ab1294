"""From a cap to an environment, and from a machine's room to a cap."""

import subprocess
import sys
from typing import Any

import pytest

from cluster.node import thread_env, xla_flags
from cluster.node.limits import Cpus, ThreadLimit, ThreadLimits
from cluster.node.thread_env import NoRoomError, build

SERIAL = "--xla_gpu_force_compilation_parallelism=1"


def room_for(room: int | None, use: int = 10) -> ThreadLimits:
    """A machine with one limit on threads, or with none."""
    if room is None:
        return ThreadLimits(limits=(), binding=None, room=None)
    limit = ThreadLimit(
        name="pids cgroup /c",
        limit=use + room,
        use=use,
        room=room,
        source="/c/pids.max",
        note="",
        remedy="--pids-limit {limit}",
    )
    return ThreadLimits(limits=(limit,), binding=limit, room=room)


def cpus(allowed: int, quota_cores: float | None = None) -> Cpus:
    return Cpus(allowed=tuple(range(allowed)), quota_cores=quota_cores, online=allowed)


def test_a_trial_binds_to_as_many_cpus_as_its_cap() -> None:
    env = build(4, "cpu", range(8, 128), {})
    assert (env.cap, env.cpus) == (4, (8, 9, 10, 11))
    assert env.variables["PJRT_NPROC"] == "4"
    assert env.variables["JAX_PLATFORMS"] == "cpu"
    assert env.variables["OPENBLAS_NUM_THREADS"] == "1"
    assert env.notes == ()


ON_A_GPU = """
import jax
from jax._src import hardware_utils, xla_bridge
hardware_utils.has_visible_nvidia_gpu = lambda: True
xla_bridge.register_backend_factory("cuda", xla_bridge.make_cpu_client, priority=500)
jax.jit(lambda: jax.debug.print("called back"))()
jax.effects_barrier()
"""
"""A CPU stands in for the GPU: it is all that JAX has, unless the CPU itself is asked for, too."""


def test_a_program_on_a_gpu_may_call_back_to_the_host() -> None:
    variables = build(2, "cuda", range(8), {}).variables
    run = subprocess.run(
        [sys.executable, "-c", ON_A_GPU],
        env={"PATH": "/usr/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "called back\n", run.stderr


@pytest.mark.parametrize(
    ("platform", "framework", "given", "becomes"),
    [
        ("cuda", "any", None, "false"),
        ("cuda", "any", "true", None),  # a person's own is kept
        ("cpu", "any", None, None),
        ("cuda", "jax", None, None),  # its allocator tells
    ],
)
def test_a_commands_memory_on_a_gpu_is_not_one_pool_for_all_configurations(
    platform: Any, framework: Any, given: str | None, becomes: str | None
) -> None:
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    base = {} if given is None else {name: given}
    assert build(2, platform, range(8), base, framework).variables.get(name) == becomes


def test_variables_without_effect_are_not_set() -> None:
    assert not [name for name in build(4, "cuda", range(8), {}).variables if "TF_" in name]


def test_a_cap_above_the_cpus_becomes_their_number() -> None:
    env = build(8, "cpu", (3, 5), {})
    assert (env.cap, env.cpus, env.variables["PJRT_NPROC"]) == (2, (3, 5), "2")
    assert env.notes == ("the thread cap of 8 becomes 2: no more CPUs are allowed.",)


@pytest.mark.parametrize(("cap", "allowed"), [(0, range(4)), (1, ())])
def test_a_cap_of_nothing_is_refused(cap: int, allowed: Any) -> None:
    with pytest.raises(ValueError, match="cap must be at least 1 on at least one CPU"):
        build(cap, "cpu", allowed, {})


def test_a_persons_own_value_that_changes_is_said() -> None:
    env = build(2, "cpu", range(4), {"OMP_NUM_THREADS": "64", "MKL_NUM_THREADS": "1"})
    assert env.notes == ("OMP_NUM_THREADS=64 of your environment becomes 1 in trials.",)


@pytest.mark.parametrize(
    ("flags", "becomes", "note"),
    [
        ("", SERIAL, None),
        ("--xla_dump_to=/x", f"--xla_dump_to=/x {SERIAL}", f"is kept and gains {SERIAL} in trials"),
        ("--xla_gpu_force_compilation_parallelism=8", None, "sets xla_gpu_force_compilation_paral"),
        ("/home/me/flags.txt", None, "names a file and is kept as it is"),
    ],
)
def test_xla_flags_are_extended_and_never_overwritten(
    monkeypatch: pytest.MonkeyPatch, flags: str, becomes: str | None, note: str | None
) -> None:
    monkeypatch.setattr(xla_flags, "knows_xla_flag", lambda name: True)
    env = build(2, "cuda", range(8), {"XLA_FLAGS": flags})
    assert env.variables.get("XLA_FLAGS") == becomes
    assert (len(env.notes) == 1 and note in env.notes[0]) if note else env.notes == ()


@pytest.mark.parametrize("knows", [False, None], ids=["unknown", "no jaxlib"])
def test_a_flag_is_not_set_for_a_jaxlib_that_may_not_know_it(
    monkeypatch: pytest.MonkeyPatch, knows: bool | None
) -> None:
    monkeypatch.setattr(xla_flags, "knows_xla_flag", lambda name: knows)
    assert "XLA_FLAGS" not in build(2, "cuda", range(8), {}).variables


def test_compiling_is_slowed_down_only_where_room_is_short() -> None:
    assert "XLA_FLAGS" not in build(4, "cuda", range(8), {}).variables


@pytest.mark.parametrize("name", ["XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_a_persons_own_memory_fraction_is_kept_and_no_second_one_set(name: str) -> None:
    env = build(4, "cuda", range(8), {name: "0.5"})
    assert not [variable for variable in env.variables if "MEM_FRACTION" in variable]
    assert env.notes == (f"{name}=0.5 of your environment is kept.",)


def test_the_gpus_pool_leaves_room_for_the_driver() -> None:
    assert build(4, "cuda", range(8), {}).variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.9"


@pytest.mark.parametrize(("level", "becomes"), [("3", "1"), ("0", None), ("1", None), ("x", None)])
def test_errors_are_not_silenced_where_deaths_are_read(level: str, becomes: str | None) -> None:
    env = build(1, "cpu", range(2), {"TF_CPP_MIN_LOG_LEVEL": level})
    assert env.variables.get("TF_CPP_MIN_LOG_LEVEL") == becomes


def test_torch_computes_in_openmps_team_and_knows_no_jax() -> None:
    variables = build(4, "cuda", range(8), {}, "torch").variables
    assert (variables["OMP_NUM_THREADS"], variables["TOKENIZERS_PARALLELISM"]) == ("4", "false")
    assert not [name for name in variables if "JAX" in name or "XLA" in name or "PJRT" in name]


@pytest.mark.parametrize(
    ("cap", "platform", "framework", "measured"),
    [
        (1, "cpu", "jax", 16),
        (2, "cpu", "jax", 21),
        (4, "cpu", "jax", 31),
        (8, "cpu", "jax", 51),
        (1, "cuda", "jax", 17),
        (2, "cuda", "jax", 21),
        (3, "cuda", "jax", 25),
        (4, "cuda", "jax", 36),
        (8, "cuda", "jax", 60),
        (4, "cpu", "torch", 28),
    ],
)
def test_expected_threads_are_at_least_those_measured(
    cap: int, platform: Any, framework: Any, measured: int
) -> None:
    assert measured <= thread_env.expected_threads(cap, platform, framework) <= measured + 5


@pytest.mark.parametrize(
    ("limits", "allowed", "expected"),
    [
        (room_for(10_000), cpus(128), 4),
        (room_for(10_000), cpus(2), 2),
        (room_for(10_000), cpus(96, 1.5), 1),
        (room_for(None), cpus(128), 4),
        (room_for(200 + 16 + 32), cpus(128), 4),
        (room_for(200 + 16 + 31), cpus(128), 3),
        (room_for(200 + 16 + 17), cpus(128), 1),
    ],
    ids=["plenty", "2 CPUs", "a quota", "no limit", "just 4", "not 4", "just 1"],
)
def test_the_cap_is_what_the_room_and_the_cpus_allow(
    limits: ThreadLimits, allowed: Cpus, expected: int
) -> None:
    cap = thread_env.choose_cap(limits=limits, cpus=allowed, platform="cpu", ray_threads=200)
    assert cap == expected


def test_trials_side_by_side_share_the_cpus_and_the_room() -> None:
    def choose(room: int, num_cpus: int) -> int:
        return thread_env.choose_cap(
            limits=room_for(room),
            cpus=cpus(num_cpus),
            platform="cuda",
            ray_threads=200,
            num_parallel_trials=2,
        )

    assert choose(10_000, 128) == 16  # compiling takes most of a trial there
    assert choose(10_000, 16) == 8
    assert choose(10_000, 4) == 2
    assert choose(200 + 16 + 2 * 40, 128) == 4
    assert choose(200 + 16 + 2 * 22, 128) == 1


def test_a_requested_cap_is_taken_as_it_is() -> None:
    cap = thread_env.choose_cap(
        limits=room_for(10_000), cpus=cpus(64, 7.5), platform="cpu", ray_threads=200, requested=16
    )
    assert cap == 16


def test_no_room_names_the_limit_and_the_smallest_that_would_do() -> None:
    with pytest.raises(NoRoomError) as raised:
        thread_env.choose_cap(limits=room_for(90), cpus=cpus(128), platform="cpu", ray_threads=200)
    assert raised.value.smallest_limit == 10 + 200 + 16 + 17
    assert raised.value.fitting_cap is None
    assert str(raised.value) == (
        "no room for threads: pids cgroup /c allows 100, 10 are in use, and Ray and trials under "
        "a thread cap of 1 need 233 more. The smallest limit that would do is 243."
    )


def test_a_requested_cap_without_room_is_refused_with_the_one_that_fits() -> None:
    with pytest.raises(NoRoomError, match="under a thread cap of 16 need 308 more") as raised:
        thread_env.choose_cap(
            limits=room_for(250), cpus=cpus(64), platform="cpu", ray_threads=200, requested=16
        )
    assert raised.value.fitting_cap == 4


@pytest.mark.parametrize(
    ("name", "given", "becomes"),
    [
        ("JAX_PLATFORM_NAME", "gpu", ""),
        ("JAX_DISABLE_JIT", "1", "0"),
        ("JAX_CHECK_TRACER_LEAKS", "1", "0"),
        ("JAX_PLATFORMS", "tpu", "cpu"),
    ],
)
def test_switches_of_jax_that_end_or_slow_all_trials_are_set_right(
    name: str, given: str, becomes: str
) -> None:
    env = build(2, "cpu", range(8), {name: given})
    assert env.variables[name] == becomes
    assert f"{name}={given} of your environment becomes" in "\n".join(env.notes)
    assert name == "JAX_PLATFORMS" or name not in build(2, "cpu", range(8), {}).variables
    assert name not in build(2, "cpu", range(8), {name: given}, "any").variables or name in (
        "JAX_PLATFORMS",
    )
