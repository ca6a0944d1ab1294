"""The command of a search, run as a person runs it, and what it leaves in its folder."""

import csv
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from places import PYTHONPATH

SHORT = ("--final-rounds", "1", "--finalists", "1", "--soak-updates", "3")


TINY = ("--space", "num_envs=64,128", "num_steps=32", "batch_size=512,1024")
"""Real PPO, small: two seconds an update are not needed to see that all of it fits together."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tune.jax_phase12", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": PYTHONPATH} | variables


def run(
    cwd: Path, *arguments: str, timeout_s: float = 900, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def read_until_two_run(process: "subprocess.Popen[str]", said: str = "") -> str:
    """Read a search's JSON lines, after those of `said`, until two of its trials are being built.

    A loop that takes seconds to build is then under way in both.
    """
    assert process.stdout is not None
    running: set[int] = set()
    lines: list[str] = []
    for line in itertools.chain(said.splitlines(keepends=True), process.stdout):
        lines.append(line)
        event: dict[str, Any] = json.loads(line) if line.startswith("{") else {"event": ""}
        if event["event"] == "trial_ended":
            running.discard(event["trial"]["number"])
        elif event["event"] == "trial_progress" and event["phase"] == "build":
            running.add(event["number"])
        if len(running) == 2 and len(lines) > len(said.splitlines()):
            return "".join(lines)
    raise AssertionError(f"it ended before two trials ran:\n{''.join(lines)}")


def report_of(folder: Path) -> str:
    return (folder / "report.html").read_text()
