"""Run one real trial of Phase 1 as a search would, without Ray, and print how it ended.

Arguments, as JSON: the environment of the child on top of this one's, and its CPUs.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from trainables.measurement import Outcome, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling


def main(variables: dict[str, str], cpus: list[int]) -> None:
    request = TrialRequest(
        workload="trainables.jax_phase12.workload:phase1",
        config={
            "num_envs": 64,
            "num_steps": 32,
            "num_epochs": 1,
            "batch_size": 512,
        },
        options={},
        platform="cpu",
        cpus=tuple(cpus),
        sampling=Sampling(block_s=0.2, min_blocks=2, max_measure_s=1.0),
    )
    with tempfile.TemporaryDirectory() as folder:
        *_, outcome = run_child(
            request,
            environment=os.environ | variables,
            log_path=Path(folder, "trial.log"),
            thread_cap=len(cpus),
        )
    assert isinstance(outcome, Outcome)
    print(outcome.kind, outcome.message)
    if outcome.measurement:
        print(outcome.measurement.compile_s, outcome.measurement.steps_per_second)


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
