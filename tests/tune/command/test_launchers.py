"""Programs that start a training: which of them let it be heard and ended."""

from pathlib import Path

import pytest

from tune.command.launchers import require_own_child


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --cluster ssh docker run",
        "conda run --no-capture-output -n rl python train.py",
        "conda run -n rl --live-stream python train.py",
        "poetry -P /work run python train.py",
        "uv run train.py",
        "sudo -E python train.py",
        "accelerate launch train.py",
        "apptainer exec rl.sif python train.py",
        "python train.py ray job submit",
    ],
)
def test_what_runs_the_training_as_a_child_may_start_it(command: str) -> None:
    require_own_child(command.split(), Path("/work"))
