"""A worker's side of a trial: the environment, the CPUs and the request that its child gets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from places import PYTHONPATH
from trainables import ray_trainable
from trainables.machine_speed import MachineBest
from trainables.measurement import Outcome, OutcomeKind, TrialRequest
from trainables.ray_trainable import Place, TrialOrder, run_order
from trainables.sampling import Sampling

WORKLOAD = """
import os
import time

class Sleeps:
    env_steps_per_update = 1

    def run(self, num_updates):
        time.sleep(0.01 * num_updates)

def factory(config, options):
    print("GPU", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    return Sleeps()
"""


def order_in(
    folder: Path,
    *,
    thread_cap: int = 1,
    machine_best: MachineBest | None = None,
    variables: dict[str, str] | None = None,
) -> TrialOrder:
    """An order of a trial that sleeps, with its log in a folder."""
    return TrialOrder(
        name="0",
        request=TrialRequest(
            workload="sleeps:factory",
            config={"n": 1},
            options={},
            platform="cpu",
            cpus=(),
            sampling=Sampling(block_s=0.05, min_blocks=2, max_measure_s=0.3),
            machine_best=machine_best or MachineBest(),
        ),
        framework="jax",
        place=Place(resources={"CPU": 1.0}),
        thread_cap=thread_cap,
        timeout_s=60.0,
        host_budget_bytes=None,
        log=str(folder / "trial.log"),
        variables=variables or {},
    )


def test_a_trial_sees_the_gpu_that_the_preflight_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeps.py").write_text(WORKLOAD)
    monkeypatch.chdir(tmp_path)
    order = order_in(tmp_path, variables={"CUDA_VISIBLE_DEVICES": "1"})
    environ = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0"}  # as Ray's worker has it
    *_, outcome = run_order(order, environ=environ, cpus=sorted(os.sched_getaffinity(0)))
    assert isinstance(outcome, Outcome)
    assert "GPU 1" in (tmp_path / "trial.log").read_text(), outcome.message


def test_under_a_halved_cap_the_cpus_have_no_best_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer threads multiply more slowly: a best under the full cap would disturb every block."""
    asked: list[tuple[tuple[int, ...], MachineBest]] = []

    def run_child(request: TrialRequest, *, thread_cap: int, **_: Any) -> Iterator[Outcome]:
        asked.append((request.cpus, request.machine_best))
        kind = OutcomeKind.THREAD_LIMIT if thread_cap > 1 else OutcomeKind.COMPLETED
        yield Outcome(kind=kind, message="", wall_s=1.0, thread_cap=thread_cap)

    monkeypatch.setattr(ray_trainable, "run_child", run_child)
    best = MachineBest(compute=9.0)
    order = order_in(tmp_path, thread_cap=4, machine_best=best)
    [outcome] = run_order(order, environ={}, cpus=[4, 5, 6, 7, 0])
    assert asked == [((4, 5, 6, 7), best), ((4, 5), MachineBest()), ((4,), MachineBest())]
    assert outcome == Outcome(kind=OutcomeKind.COMPLETED, message="", wall_s=3.0, thread_cap=1)


PLACES = """
import json, os, tempfile
from cluster.node import ray_env

ray_env.exec_into(ray_env.environment(os.environ))
import ray
from trainables.ray_trainable import _own_gpus

with tempfile.TemporaryDirectory(dir=ray_env.prepare(os.environ)) as folder:
    ray.init(**ray_env.init_arguments(num_cpus=2, num_gpus=4, temp_dir=folder))
    found = [
        ray.remote(num_gpus=number, num_cpus=0)(type("A", (), {"ask": lambda self: _own_gpus()}))
        for number in (1, 3)
    ]
    actors = [one.remote() for one in found]
    print(json.dumps(ray.get([actor.ask.remote() for actor in actors])))
    ray.shutdown()
"""


def test_a_worker_knows_the_places_of_its_gpus_whatever_their_names_are() -> None:
    environ = os.environ | {"PYTHONPATH": PYTHONPATH, "CUDA_VISIBLE_DEVICES": "4,7,6,GPU-8a2b"}
    done = subprocess.run(
        [sys.executable, "-c", PLACES], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [[one, num], [three, _]] = json.loads(done.stdout.splitlines()[-1])
    assert (num, len(one), sorted(one + three)) == (4, 1, [0, 1, 2, 3])
