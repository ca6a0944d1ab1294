"""A worker's side of a trial without Ray: the environment that its child gets."""

from pathlib import Path

import pytest

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
    *_, outcome = run_order(order, environ=environ)
    assert isinstance(outcome, Outcome)
    assert "GPU 1" in (tmp_path / "trial.log").read_text(), outcome.message
