"""Run one real trial of Phase 3 as a search would, without Ray, and print how it ended.

Arguments, as JSON: the options, the environment of the child on top of this one's, its CPUs, and
its log. Prints the outcome as JSON.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from trainables.measurement import Outcome, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling


def main(options: dict[str, Any], variables: dict[str, str], cpus: list[int], log: str) -> None:
    request = TrialRequest(
        workload="trainables.pytorch_phase3.workload:phase3",
        config={"vectorized_envs": 16, "batch_size": 512},
        options=options,
        platform="cpu",
        cpus=tuple(cpus),
        sampling=Sampling(block_s=0.2, min_blocks=2, max_measure_s=2.0),
    )
    for message in run_child(
        request,
        environment=os.environ | variables,
        log_path=Path(log),
        thread_cap=len(cpus),
        timeout_s=200.0,
    ):
        if isinstance(message, Outcome):
            print(json.dumps(dataclasses.asdict(message)))


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
