"""Seconds saved by programs from the compilation cache, and a check that they run the same.

    python -m benchmarks.compile_cache --rounds 4

Fresh processes take turns at compiling and reading (A B B A). It compares the CPU time of the same
updates, on which other load of the machine has little effect, and every figure that training
prints.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from cluster.node import thread_env
from trainables import compile_cache

_CONFIG = {"num_envs": 64, "num_steps": 32, "num_epochs": 4, "batch_size": 512}
_UPDATES = 20
_CHILD = "child"


def child() -> None:
    """Do one trial's work in this process: compile or read, train, print the seconds."""
    from trainables.jax_phase12.workload import phase1  # JAX starts under the child's caps only

    started = time.perf_counter()
    workload = phase1(_CONFIG, {})
    built = time.perf_counter()
    program = workload.compile()
    compiled = time.perf_counter()
    workload.run(1)
    warm, cpu = time.perf_counter(), time.process_time()
    workload.run(_UPDATES)
    figures = {
        "build_s": built - started,
        "compile_s": compiled - built,
        "first update_s": warm - compiled,
        "CPU s / update": (time.process_time() - cpu) / _UPDATES,
    }
    same = [program.device_bytes, workload.device_usage().num_compilations, workload.health()]
    print(json.dumps({"read": program.from_cache, "figures": figures, "same": same}))


def main() -> None:
    """Print the medians side by side, and whether all processes trained the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args().rounds
    allowed = sorted(os.sched_getaffinity(0))
    base = dict(os.environ) | thread_env.build(2, "cpu", allowed, os.environ).variables
    with tempfile.TemporaryDirectory() as folder:
        reading = base | compile_cache.variables(folder, base)
        _run(reading)  # compiles, and leaves its programs
        compiling: list[dict[str, Any]] = []
        read: list[dict[str, Any]] = []
        for number in range(rounds):
            for kind in ("AB", "BA")[number % 2]:
                (compiling if kind == "A" else read).append(_run(base if kind == "A" else reading))
    assert all(one["read"] for one in read)
    assert not any(one["read"] for one in compiling)
    print(f"{'medians of ' + str(rounds) + ' processes each':>28}{'compiled':>10}{'read':>8}")
    for name in compiling[0]["figures"]:
        pair = [
            statistics.median(one["figures"][name] for one in side) for side in (compiling, read)
        ]
        print(f"{name:>28}{pair[0]:>10.3f}{pair[1]:>8.3f}{pair[1] / pair[0]:>7.2f} x")
    kinds = {json.dumps(one["same"], sort_keys=True) for one in compiling + read}
    print(f"bytes, compilations and losses: {'the same in all' if len(kinds) == 1 else kinds}")


def _run(environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.compile_cache", _CHILD]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    child() if sys.argv[1:] == [_CHILD] else main()
