"""Training scripts that nobody here wrote: two are searched, two are read.

They lie in an environment of their own, .venv-scripts, in which nothing of this project is; `make
test-scripts` makes it. skrl has a runner and no script: tests/support/skrl_cartpole.py starts it.
"""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from places import PYTHONPATH, ROOT, SUPPORT
from tune.profile import file as profile_file

PYTHON = ROOT / ".venv-scripts" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.seconds(550),
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not PYTHON.exists(), reason="make test-scripts makes their environment"),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A training script: its space, its command behind Python, and what is read of it.

    One that `is_slow` needs a minute for a trial. It has as few runs as make a profile, and that is
    not validated: its command would run once more as it did, which the other shows.
    """

    space: str
    command: str
    reads: str
    options: str = ""
    is_slow: bool = False


SEARCHED = {
    "rl_zoo3": Script(
        space="n_envs=2,4 n_steps=64 batch_size=64 vec=subproc,dummy",
        command="-m rl_zoo3.train --algo ppo --env CartPole-v1 -params n_envs:{n_envs} "
        "n_steps:{n_steps} batch_size:{batch_size} n_epochs:4 -n 1000000000 --vec-env {vec} "
        "--eval-freq -1 --num-threads 1 -f {trial_dir}/logs",
        reads="transitions/s (preset sb3)",
    ),
    "sample_factory": Script(
        space="num_envs_per_worker=4,16",
        command="-m sf_examples.train_gym_env --env=CartPole-v1 --algo=APPO --experiment=x "
        "--train_dir={trial_dir} --num_workers=1 --num_envs_per_worker={num_envs_per_worker} "
        "--rollout=32 --batch_size=512 --device=cpu --train_for_env_steps=1000000000",
        reads="frames/s (preset sample-factory)",
        is_slow=True,
    ),
}
CHECKED = {
    "brax": Script(
        space="num_envs=64,256",
        command="-m brax.training.learner --env fast --episode_length 100 --num_envs {num_envs} "
        "--unroll_length 8 --batch_size 64 --num_minibatches 4 --num_evals 1000000 "
        "--num_resets_per_eval 1 --total_env_steps 10000000000 --logdir {trial_dir}",
        reads="env steps/s (preset brax)",
    ),
    "skrl": Script(
        space="num_envs=4,32 rollouts=16",
        command=f"{SUPPORT / 'skrl_cartpole.py'} --num-envs {{num_envs}} --rollouts {{rollouts}} "
        "--mini-batches 4",
        reads="env steps/s (preset skrl)",
        options="--preset skrl",
    ),
}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )


@pytest.mark.parametrize("name", SEARCHED)
def test_it_is_searched_and_its_profile_is_read_and_validated(name: str, tmp_path: Path) -> None:
    script = SEARCHED[name]
    runs = 1 if script.is_slow else 2
    few = f"--max-runs {runs} --finalists 1 --final-rounds 1 --soak-updates 0 --json"
    searched = run(
        tmp_path,
        *("tune.command", *few.split(), *script.options.split(), "--out", "run"),
        *("--space", *script.space.split()),
        *("--", str(PYTHON), *shlex.split(script.command)),
    )
    assert searched.returncode == 0, searched.stdout[-3000:] + searched.stderr[-3000:]
    assert script.reads in searched.stderr
    finished = json.loads(searched.stdout.splitlines()[-1])
    assert finished["chosen"]["fastest"]["confirmed"]
    trials = json.loads((tmp_path / "run" / "trials.json").read_text())["trials"]
    # Each was timed, also one that was stopped because it could not win.
    assert [t["outcome"]["message"] for t in trials if not t["outcome"]["measurement"]] == []
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    profile = profile_file.read(path)
    assert profile.confirmed
    printed = run(tmp_path, "tune.profile", "command", str(path))
    for word in map(str, profile.config.values()):
        assert word in printed.stdout
    if script.is_slow:
        return
    validated = run(tmp_path, "tune.profile", "validate", str(path))
    # A machine of the tests is no quiet one: that it ran and was compared is what is shown here.
    assert validated.returncode in {0, 1}, validated.stdout + validated.stderr
    assert "of what the profile promises" in validated.stdout


@pytest.mark.parametrize("name", CHECKED)
def test_its_speed_is_read_and_its_needs_are_told(name: str, tmp_path: Path) -> None:
    script = CHECKED[name]
    checked = run(
        tmp_path,
        *("tune.command", "--check", *script.options.split(), "--space", *script.space.split()),
        *("--", str(PYTHON), *shlex.split(script.command)),
    )
    assert checked.returncode == 0, checked.stdout[-3000:] + checked.stderr[-3000:]
    assert script.reads in checked.stdout
    for word in ("a trial", "of host memory", "threads"):
        assert word in checked.stdout
