"""The command of a search, run as a person runs it, and what it leaves in its folder."""

import csv
import os
import subprocess
import sys
from pathlib import Path

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


def report_of(folder: Path) -> str:
    return (folder / "report.html").read_text()
