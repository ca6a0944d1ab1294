"""The lease of a host: its dead-man ends Ray and then the rent."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.join import lease
from cluster.node import processes, ray_env
from places import ROOT

KEEPER = """
import os, pathlib, subprocess, sys, time
from cluster.join import lease
private = pathlib.Path(sys.argv[1])
lease.record_keeper(private)
lost = ["sleep", "97"]  # a daemon of Ray's, that nobody ends in order
marked = {**os.environ, **lease.marking_variables(private)}
subprocess.Popen(lost, env=marked, start_new_session=True)
print("ready", flush=True)
time.sleep(99)
"""


def test_hour_that_has_come_ends_all_of_ray_here_and_then_the_rent(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_dir))
    private = ray_env.prepare({"TMPDIR": str(short_dir)})
    words = [sys.executable, "-c", KEEPER, str(private)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n"
        stopped = short_dir / "stopped"
        lease.arm(private, hours=1.0, stop_command=["false"])  # the next takes its place
        told = lease.describe(private)
        armed = r"Dead-man armed: ends Ray here in (1 h 00 min|59 min [3-5]\d s), then runs false\."
        assert re.fullmatch(armed, told)
        lease.arm(private, hours=0.0004, stop_command=["sh", "-c", f"echo $0 > {stopped}", "-x"])
        assert keeper.wait(timeout=120) == -signal.SIGTERM
    deadline = time.monotonic() + 120
    while not stopped.exists() or stopped.read_text() != "-x\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told = lease.describe(private)
    assert told.startswith("Dead-man fired: ends Ray here, then runs sh -c ")
    assert told.endswith("-x, every minute until this host stops.")
    lease.disarm(private)
    assert "No dead-man is armed" in lease.describe(private)
    processes.kill(private / "join" / "deadman_process.json")
    assert processes.of_job(str(private), private / "none") == set()


def test_dead_man_that_was_disarmed_is_gone(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_dir))
    private = ray_env.prepare({"TMPDIR": str(short_dir)})
    lease.arm(private, hours=1.0, stop_command=[])
    assert "then the rent goes on: no --stop-command" in lease.describe(private)
    lease.disarm(private)
    assert "No dead-man is armed" in lease.describe(private)
    alive = private / "join" / "deadman_process.json"
    while processes.is_alive(alive):
        time.sleep(0.05)
