"""Images as people rent them: what a real search must get along with."""

import subprocess
import sys
from pathlib import Path

import pytest

from search_command import environment


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_environment_whose_path_has_a_space_is_searched(tmp_path: Path) -> None:
    """Ray would start workers with a runtime_env through a shell, unquoted, and wait for them."""
    spaced = tmp_path / "my environments" / "rl"
    spaced.parent.mkdir()
    spaced.symlink_to(sys.prefix, target_is_directory=True)
    python = str(spaced / "bin" / Path(sys.executable).name)
    few = ("--max-runs", "1", "--finalists", "1", "--final-rounds", "1", "--soak-updates", "0")
    loop = ("--workload", "surface_workload:factory", "--space", "num_envs=64", "num_steps=32")
    done = subprocess.run(
        [python, "-m", "tune.jax_phase12", *loop, "batch_size=512", *few, "--max-time", "60s"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "profiles").glob("*-fastest.yaml"))
