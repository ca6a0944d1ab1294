"""Scripts in miniature that are run as trials of a command, alive."""

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search_spaces.config import Config
from trainables.command.options import FACTORY
from trainables.curve import TrainingRequest
from trainables.measurement import Outcome, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling

SAMPLING = Sampling(block_s=0.1, relative_half_width=0.5, min_blocks=3, max_measure_s=2.0)
SPS = {"kind": "line", "pattern": "^SPS:", "steps": "num_envs * 8", "unit": "env step"}
COUNT = {"kind": "count", "pattern": r"frames (\d+)", "unit": "frame"}

STEADY = """
    import sys, time
    while True:
        time.sleep(0.02)
        print("SPS: 1")
"""

OURS = [sys.executable, "train.py"]
"""The interpreter that has tensorboardX."""

SCALARS = """
    import os, time
    from tensorboardX import SummaryWriter
    writer, step = SummaryWriter("runs/one", flush_secs=1, max_queue=1), 0
    while True:
        time.sleep(0.02)
        step += 100
        writer.add_scalar("{tag}", 0.5, step)
"""


def run(
    tmp_path: Path,
    script: str,
    *arguments: str,
    config: Config | None = None,
    environment: dict[str, str] | None = None,
    num_updates: int | None = None,
    timeout_s: float = 60.0,
    cpus: Sequence[int] | None = None,
    training: TrainingRequest | None = None,
    needs_return: bool = False,
    sampling: Sampling = SAMPLING,
    **options: Any,
) -> Outcome:
    """Run a script as one trial."""
    Path("train.py").write_text(textwrap.dedent(script))
    request = TrialRequest(
        workload=FACTORY,
        config=config or {"num_envs": 4},
        options={
            "arguments": ["python3", "train.py", *arguments],
            "readings": [SPS],
            "trials": str(tmp_path / "trials"),
            "patience_s": 30.0,
        }
        | options,
        platform="cpu",
        cpus=tuple(cpus or sorted(os.sched_getaffinity(0))),
        sampling=sampling,
        num_updates=num_updates,
        training=training,
        needs_return=needs_return,
    )
    *_, outcome = run_child(
        request,
        environment={**os.environ, **(environment or {})},
        log_path=tmp_path / "trial.log",
        thread_cap=2,
        timeout_s=timeout_s,
    )
    assert isinstance(outcome, Outcome)
    return outcome
