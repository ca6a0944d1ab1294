"""A worker's side of a trial without Ray: the environment that its child gets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from places import PYTHONPATH
from trainables.measurement import Outcome, TrialRequest
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


def test_a_trial_sees_the_gpu_that_the_preflight_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeps.py").write_text(WORKLOAD)
    monkeypatch.chdir(tmp_path)
    order = TrialOrder(
        name="0",
        request=TrialRequest(
            workload="sleeps:factory",
            config={"n": 1},
            options={},
            platform="cpu",
            cpus=(),
            sampling=Sampling(block_s=0.05, min_blocks=2, max_measure_s=0.3),
        ),
        framework="jax",
        place=Place(resources={"CPU": 1.0}),
        thread_cap=1,
        timeout_s=60.0,
        host_budget_bytes=None,
        log=str(tmp_path / "trial.log"),
        variables={"CUDA_VISIBLE_DEVICES": "1"},
    )
    environ = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0"}  # as Ray's worker has it
    *_, outcome = run_order(order, environ=environ, cpus=sorted(os.sched_getaffinity(0)))
    assert isinstance(outcome, Outcome)
    assert "GPU 1" in (tmp_path / "trial.log").read_text(), outcome.message


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
