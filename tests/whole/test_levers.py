"""Levers of XLA on the winner: tried in the finals, kept where they are a gain, and in the profile.

The GPU is a fake driver's; the training is a command whose speed depends on its XLA_FLAGS.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fake_nvml import FOLDER, card
from places import PYTHONPATH
from search_command import environment
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(90), pytest.mark.timeout(600)]

SCRIPT = """
import os, sys, time
flags, num_envs = os.environ.get("XLA_FLAGS", ""), int(sys.argv[1])
if "latency_hiding" in flags:
    sys.exit("F0000 Check failed: unsupported schedule")
factor = 1.5 if "double_buffering" in flags else 0.7 if "triton" in flags else 1.0
while True:
    time.sleep((0.08 + num_envs / 2500) / factor)  # a late wake-up is little of it
    print("frames", flush=True)
"""
OWN = "--xla_gpu_autotune_level=2"
SEARCH = (
    *("--line", "^frames", "--steps", "num_envs", "--unit", "frame", "--out", "out"),
    *("--space", "num_envs=16,32", "--finalists", "1", "--soak-updates", "5", "--levers", "gpu"),
)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    driver = {"PYTHONPATH": f"{FOLDER}:{PYTHONPATH}", "FAKE_NVML": json.dumps({"cards": [card()]})}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment(**driver, XLA_FLAGS=OWN),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def searched(folder: Path, *words: str) -> str:
    command = (sys.executable, "script.py", "{num_envs}")
    done = run(folder, "tune.command", *SEARCH, *words, "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trials_of(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "out" / "trials.json").read_text())["trials"])


def test_the_lever_that_gains_is_kept_in_the_profile_and_a_resumed_search_knows_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    said = searched(tmp_path)
    flags = f"{OWN} --xla_gpu_enable_while_loop_double_buffering=true"
    gains = re.findall(r"lever: (.*): (\S+) x \(.*\), (.*)$", said, re.MULTILINE)
    assert {(name, round(float(gain), 1), verdict) for name, gain, verdict in gains} == {
        ("loops double buffered", 1.5, "kept"),
        ("no Triton products", 0.7, "slower"),
        ("command buffers for loops", 1.0, "no gain beyond noise"),
    }
    assert re.search(r"lever: latency hiding: it did not run \(.* unsupported schedule\)", said)
    assert "bfloat16 products" not in said, "a command tells nothing of its learning"
    assert "error that is no limit" not in said, "the lever's row says it"

    stages = [trial["stage"] for trial in trials_of(tmp_path)]
    assert stages[-3:] == ["final", "final", "soak"]
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    profile = profile_file.read(path)
    assert profile.config == {"num_envs": 32, "env.XLA_FLAGS": flags}
    assert profile.environment.variables["XLA_FLAGS"].startswith(flags)
    shown = run(tmp_path, "tune.profile", "env", str(path)).stdout
    assert f"XLA_FLAGS='{flags}" in shown
    page = (tmp_path / "out" / "report.html").read_text()
    assert "loops double buffered: " in page

    searched(tmp_path, "--resume")
    assert [trial["stage"] for trial in trials_of(tmp_path)] == stages, "nothing is tried again"
