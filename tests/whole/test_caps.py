"""The caps hold: real trials, and a real Ray, on hosts with many CPUs and room for few threads."""

import json
import os
import re
import sys
from collections.abc import Callable

import pytest

from cluster.node import ray_env, thread_env
from pids_cgroup import PidsCgroup

pytestmark = [pytest.mark.slow, pytest.mark.seconds(270)]

FakeCpus = Callable[[int], dict[str, str]]
MakeCgroup = Callable[[int], PidsCgroup]

PLENTY = 4000
THE_DRIVER = 1  # tests/support/one_trial.py is in the cgroup too, with its one thread

# What the internet advises. jaxlib reads none of the first two.
WELL_KNOWN_SIX = {
    "TF_NUM_INTEROP_THREADS": "4",
    "TF_NUM_INTRAOP_THREADS": "4",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def one_trial(num_cpus: int, cap: int | None) -> list[str]:
    """Return the command that runs a real trial of Phase 1, capped by us or by the six."""
    variables, cpus = WELL_KNOWN_SIX | {"JAX_PLATFORMS": "cpu"}, tuple(range(num_cpus))
    if cap is not None:
        env = thread_env.build(cap, "cpu", cpus, {})
        variables, cpus = env.variables, env.cpus
    return [
        sys.executable,
        "-m",
        "tests.support.one_trial",
        json.dumps(variables),
        json.dumps(cpus),
    ]


def ray_session(num_cpus: int, command: list[str]) -> list[str]:
    """Return the command that starts Ray as a search does and runs trials in it."""
    return [sys.executable, "-m", "tests.support.ray_session", str(num_cpus), json.dumps(command)]


def last_line(output: str) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(output.splitlines()[-1])
    return parsed


@pytest.mark.parametrize(("num_cpus", "cap"), [(384, 1), (384, 4)])
def test_a_trial_peaks_within_what_is_expected_of_its_cap(
    num_cpus: int, cap: int, fake_cpus: FakeCpus, pids_cgroup: MakeCgroup
) -> None:
    cgroup = pids_cgroup(PLENTY)
    done = cgroup.run(one_trial(num_cpus, cap), os.environ | fake_cpus(num_cpus))
    assert done.stdout.startswith("completed"), done.stdout + done.stderr
    assert cgroup.peak - THE_DRIVER <= thread_env.expected_threads(cap, "cpu") <= 40


@pytest.mark.parametrize(("num_cpus", "max_threads"), [(128, 400), (384, 1024)])
def test_the_six_well_known_variables_alone_die(
    num_cpus: int, max_threads: int, fake_cpus: FakeCpus, pids_cgroup: MakeCgroup
) -> None:
    cgroup = pids_cgroup(max_threads)
    done = cgroup.run(one_trial(num_cpus, None), os.environ | fake_cpus(num_cpus))
    assert done.stdout.startswith("thread_limit"), done.stdout + done.stderr
    assert cgroup.events > 0


@pytest.mark.parametrize(
    ("num_cpus", "num_actors", "words"), [(2, 1, []), (128, 1, []), (128, 2, ["strangers"])]
)
def test_ray_is_thrifty_and_private(
    num_cpus: int, num_actors: int, words: list[str], fake_cpus: FakeCpus, pids_cgroup: MakeCgroup
) -> None:
    cgroup = pids_cgroup(PLENTY)
    done = cgroup.run([*ray_session(num_actors, []), *words], os.environ | fake_cpus(num_cpus))
    assert done.returncode == 0, done.stderr
    seen = last_line(done.stdout)
    assert seen["errors"] == []
    assert seen["ray_threads"] <= ray_env.expected_threads(num_actors)  # type: ignore[operator]
    assert ray_env.expected_threads(1) <= 220
    assert seen["exposed"] == []
    strangers: dict[str, str] = seen["strangers"]  # type: ignore[assignment]
    assert set(strangers) == ({"none", "wrong", "right"} if words else set())
    for token, read in strangers.items():
        assert re.match(
            "read [0-9]+ keys" if token == "right" else ".*InvalidAuthToken", read, re.S
        )


def test_the_smallest_limit_that_preflight_names_is_right(
    fake_cpus: FakeCpus, pids_cgroup: MakeCgroup
) -> None:
    """Preflight refuses a tiny limit, accepts the one it names, and a search runs under that."""
    env = os.environ | fake_cpus(128)
    preflight = [sys.executable, "-m", "tune.preflight", "--device", "cpu", "--json"]
    cgroup = pids_cgroup(40)
    refused = cgroup.run(preflight, env)
    assert refused.returncode == 1, refused.stderr
    problem = json.loads(refused.stdout)["problems"][0]
    assert problem["what"] == f"pids cgroup {cgroup.path} leaves no room for threads"
    match = re.search(r"The smallest limit that would do is (\d+)", problem["do"])
    assert match, problem["do"]

    cgroup.limit(int(match[1]) - 1)
    assert cgroup.run(preflight, env).returncode == 1
    cgroup.limit(int(match[1]))
    accepted = cgroup.run(preflight, env)
    assert accepted.returncode == 0, accepted.stdout
    cap = json.loads(accepted.stdout)["thread_env"]["cap"]
    events = cgroup.events
    done = cgroup.run(ray_session(1, one_trial(128, cap)), env)
    assert done.returncode == 0, done.stderr
    assert last_line(done.stdout)["errors"] == []
    assert cgroup.events == events
