"""Phase 1 under variables of JAX that an image or a person sets for other programs."""

import os
import subprocess
import sys

import pytest

from places import ROOT

PROGRAM = """
from trainables.jax_phase12 import workload
config = {"num_envs": 8, "num_steps": 8, "batch_size": 64, "num_epochs": 1}
training = workload.phase1(config, {})
training.run(1)
print(sorted({str(leaf.dtype) for leaf in __import__("jax").tree.leaves(training._state)}))
"""


@pytest.mark.parametrize(
    "variables",
    [
        {
            "JAX_ENABLE_X64": "1",
            "JAX_NUMPY_DTYPE_PROMOTION": "strict",
            "JAX_NUMPY_RANK_PROMOTION": "raise",
        },
    ],
)
def test_the_training_keeps_its_own_numbers(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "64" not in done.stdout
