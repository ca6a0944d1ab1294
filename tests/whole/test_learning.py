"""The search for what learns fastest, as a person runs it: real Ray, real processes, a loop whose
learning is known.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from learner_workload import speed, steps_to_top
from search_command import environment, run, table
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(200), pytest.mark.timeout(600)]

WORKLOAD = str(Path(__file__).parents[1] / "support" / "learner_workload.py")
SEARCH = (
    *("--space", "num_envs=8:512", "--baseline", "num_envs=128", "--objective", "learning"),
    *("--max-runs", "3", "--finalists", "1", "--soak-updates", "5", "--out", "out"),
    *("--learn-time", "6s", "--learn-seeds", "2"),
)


def seconds(config: dict[str, int]) -> float:
    return steps_to_top(config) / speed(config)


def test_what_learns_fastest_is_trained_found_and_promised_and_a_resumed_search_knows_it(
    tmp_path: Path,
) -> None:
    search = (*SEARCH, "--workload", f"{WORKLOAD}:learner", "--target-return", "100")
    done = run(tmp_path, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(tmp_path / "out")
    trained = [row for row in rows if row["stage"] == "learn"]
    assert all(row["kind"] == "completed" for row in trained)
    [path] = (tmp_path / "profiles").glob("*-learning.yaml")
    profile = profile_file.read(path)
    best_s = min(seconds({"num_envs": 2**power}) for power in range(3, 10))
    assert seconds(dict(profile.config)) <= 1.3 * best_s  # 64 and 128 are the best
    assert profile.learning is not None
    assert 2 <= profile.learning.num_seeds <= 4
    assert profile.learning.seconds == pytest.approx(seconds(dict(profile.config)), rel=0.25)
    assert profile.soak is not None
    assert profile.confirmed
    assert re.search(
        r"^learns fastest: num_envs \d+ \(100 after \S+ s of training", done.stdout, re.M
    )
    assert re.search(r"^  trainings: \d+ trainings from scratch of ", done.stdout, re.MULTILINE)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "learns fastest" in page

    again = run(tmp_path, *search, "--resume")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(table(tmp_path / "out")) == len(rows), "nothing is trained again"
    other = run(tmp_path, *search, "--target-return", "90", "--resume")
    assert other.returncode == 2
    assert "learning was" in other.stderr


def test_a_training_that_tells_no_return_is_refused_by_its_first_trial(tmp_path: Path) -> None:
    done = run(tmp_path, *SEARCH, "--workload", f"{WORKLOAD}:silent", "--json")
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = [event["trial"] for event in events if event["event"] == "trial_ended"]
    assert len(ended) == 1
    assert (
        "--objective learning needs the return, and the training tells only entropy"
        in (ended[0]["outcome"]["message"])
    )


SCRIPT = """
import random, sys, time
num_envs, seed = int(sys.argv[1]), int(sys.argv[2])
speed = 20000.0 * num_envs / (num_envs + 16.0)
needed = 10000.0 * (1 + num_envs / 16.0) * random.Random(seed).uniform(0.95, 1.05)
steps = 0
while True:
    time.sleep(128 * num_envs / speed)
    steps += 128 * num_envs
    for _ in range(4):
        print(f"global_step={steps}, episodic_return=[{min(100.0, 100.0 * steps / needed)}]")
    print("SPS:", int(speed), flush=True)
"""


def test_a_command_is_trained_by_its_lines_and_its_seed(tmp_path: Path) -> None:
    (tmp_path / "ppo.py").write_text(SCRIPT)
    words = (
        *("--space", "num_envs=4:64", "--steps", "128 * num_envs", "--objective", "learning"),
        *("--baseline", "num_envs=64", "--preset", "cleanrl"),
        *("--target-return", "90", "--learn-time", "6s", "--learn-seeds", "2", "--max-runs", "2"),
        *("--finalists", "1", "--final-rounds", "1", "--soak-updates", "5", "--out", "out"),
    )
    search = (sys.executable, "-m", "tune.command", *words, "--", sys.executable, "ppo.py")

    def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*search, *arguments],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    without = run_command("{num_envs}", "0")
    assert without.returncode == 2
    assert "{seed}" in without.stderr
    done = run_command("{num_envs}", "{seed}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "preset cleanrl" in done.stdout
    [path] = (tmp_path / "profiles").glob("*-learning.yaml")
    profile = profile_file.read(path)
    assert profile.config["num_envs"] in (8, 16, 32)  # 2.4, 2.3 and 2.8 s
    assert profile.learning is not None
    assert profile.learning.target == 90.0
    assert profile.learning.seconds == pytest.approx(2.5, rel=0.4)
    trained = [row for row in table(tmp_path / "out") if row["stage"] == "learn"]
    assert len({row["num_envs"] for row in trained}) >= 3
