"""A machine whose speed flips for seconds at a time: which sign tells the slow blocks of updates.

    python -m benchmarks.flips [--seconds 180] [--json FILE] [--show FILE]

Phase 1 trains in this process in blocks of half a second, beside nobody, and the product's canary
looks after each. A block is slow below 0.85 x of the usual speed, the upper quartile of all blocks,
and fast above 0.93 x. On a machine that does not flip meanwhile there is nothing to tell.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.markdown import row
from cluster.node import atomic
from trainables.canary import Canary
from trainables.jax_phase12.workload import phase1
from trainables.machine_speed import (
    SLOW_COMPUTE,
    SLOW_HANDOFF,
    MachineBest,
    slowed,
    slowed_blocks,
)

_CONFIG = {"num_envs": 64, "num_steps": 32, "batch_size": 512, "num_epochs": 4}
_BLOCK_S = 0.5
_SLOW, _FAST = 0.85, 0.93
_SHARES = (0.8, 0.85, SLOW_HANDOFF, SLOW_COMPUTE, 0.95)

Blocks = Mapping[str, Sequence[float]]
"""Updates per second of each block, and the looks before and after them: one more of each kind."""


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--json", type=Path, help="write the blocks there")
    parser.add_argument("--show", type=Path, help="show blocks that were written, and run none")
    options = parser.parse_args()
    if options.show:
        show(json.loads(options.show.read_text("utf-8")))
        return
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("benchmarks.flips needs two CPUs: they wake each other.")
    blocks = _blocks(options.seconds, Canary(cpus))
    if options.json:
        atomic.write_text(options.json, json.dumps(blocks) + "\n")
    show(blocks)


def _blocks(seconds: float, canary: Canary) -> dict[str, list[float]]:
    loop = phase1(_CONFIG, {})
    loop.run(2)
    began = time.perf_counter()
    loop.run(4)
    num_updates = max(1, round(4 * _BLOCK_S / (time.perf_counter() - began)))
    speeds = []
    ends_at = time.perf_counter() + seconds
    canary.look()
    while time.perf_counter() < ends_at:
        began = time.perf_counter()
        loop.run(num_updates)
        speeds.append(num_updates / (time.perf_counter() - began))
        canary.look()
    return {
        "speed": speeds,
        "compute": canary.compute,
        "memory": canary.memory,
        "handoff": canary.handoff,
    }


def show(blocks: Blocks) -> None:
    """Print one row per sign and threshold: what it tells, and the spread that it leaves."""
    usual = statistics.quantiles(blocks["speed"], n=4)[-1]
    speeds = [speed / usual for speed in blocks["speed"]]
    num_slow = sum(speed < _SLOW for speed in speeds)
    num_fast = sum(speed > _FAST for speed in speeds)
    print(
        f"{len(speeds)} blocks, {num_slow} slow, {num_fast} fast, "
        f"log speeds spread by {_spread(speeds):.1%}\n"
    )
    print(row(("sign", "below", "slow blocks told", "fast ones, too", "spread of the others")))
    print(row(("---", *["---:"] * 4)))
    for sign, name in _SIGNS.items():
        for share in _SHARES:
            print(_row(sign, f"{share:g}", slowed(blocks[name], 0.0, share), speeds))
    told = slowed_blocks(blocks["compute"], blocks["handoff"], MachineBest())
    print(_row("what a trial does", "", told, speeds))


_SIGNS = {
    "products": "compute",
    "memory": "memory",
    "two threads that wake each other": "handoff",
}


def _row(sign: str, share: str, told: Sequence[bool], speeds: Sequence[float]) -> str:
    pairs = list(zip(told, speeds, strict=True))
    others = [speed for was, speed in pairs if not was]
    cells = [
        f"{sum(was and speed < _SLOW for was, speed in pairs)}",
        f"{sum(was and speed > _FAST for was, speed in pairs)}",
        f"{_spread(others):.1%}",
    ]
    return row((sign, share, *cells))


def _spread(speeds: Sequence[float]) -> float:
    return statistics.stdev(map(math.log, speeds)) if len(speeds) > 1 else 0.0


if __name__ == "__main__":
    main()
