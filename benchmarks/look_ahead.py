"""Seconds of the compiles before a first trial: without LLVM's optimisation, and with it.

    python -m benchmarks.look_ahead --rounds 2

Fresh children take turns (A B B A). Each compiles the programs that tell what of a landscape's
space fits. Needs the `test` extra.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import recorded
from benchmarks.search_runs import measured
from cluster.node import thread_env
from trainables.measurement import CompileRequest
from trainables.process import run_child
from tune.memory import capacity
from tune.memory.compiler import unoptimised


def main() -> None:
    """Print the medians of each landscape's workload side by side, and whether the bytes agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    print(f"{'':>16}{'programs':>10}{'optimised, s':>14}{'not, s':>8}")
    for path in measured():
        landscape = recorded.read(path)
        configs = capacity.corners(capacity.of_sizes(landscape.space))
        took: dict[str, list[float]] = {"A": [], "B": []}
        answers = set()
        for number in range(rounds):
            for kind in ("AB", "BA")[number % 2]:
                seconds, answer = _compile(landscape.about, configs, is_quick=kind == "B")
                took[kind].append(seconds)
                answers.add(answer)
        full, quick = (statistics.median(took[kind]) for kind in "AB")
        verdict = "the same bytes" if len(answers) == 1 else f"OTHER BYTES: {answers}"
        print(
            f"{path.stem:>16}{len(configs):>10}{full:>14.1f}{quick:>8.1f}{quick / full:>7.2f} x  "
            f"{verdict}",
            flush=True,
        )


def _compile(
    about: Mapping[str, Any], configs: list[dict[str, int]], *, is_quick: bool
) -> tuple[float, tuple[int | None, ...]]:
    allowed = sorted(os.sched_getaffinity(0))
    caps = thread_env.build(2, "cpu", allowed, os.environ)
    environment = dict(os.environ) | caps.variables
    request = CompileRequest(
        workload=about["workload"],
        configs=tuple(configs),
        options=about["options"],
        cpus=caps.cpus,
        target=None,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        messages = list(
            run_child(
                request,
                environment=unoptimised(environment) if is_quick else environment,
                log_path=Path(folder, "log"),
                thread_cap=caps.cap,
            )
        )
    programs = [message.compiled for message in messages if hasattr(message, "compiled")]
    return time.monotonic() - started, tuple(one.device_bytes for one in programs if one)


if __name__ == "__main__":
    main()
