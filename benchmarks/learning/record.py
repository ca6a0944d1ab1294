"""Record how training learns, for each configuration of a grid and each seed.

    python -m benchmarks.learning.record curves|speeds NAME [--folder benchmarks/learning]

NAME is cartpole, breakout or trend. A curve is counted in env steps, so that it may be recorded on
a busy machine; `speeds` then times each configuration in rounds, on a quiet one. An interrupted
recording goes on where it was. Needs the `test` extra, for gymnax.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learning import loops
from cluster.node.atomic import write_text
from trainables.jax_workload import JaxWorkload

LANDSCAPES = Path(__file__).parent
_NUM_ENVS = (16, 32, 64, 128, 256, 512, 1024)
_NUM_STEPS, _BATCH_SIZES = (32, 128), (256, 1024, 4096)
_GROWTH = 1.12  # between two points of a curve
_NUM_SEEDS = 6
_ROUNDS, _ROUND_S = 5, 1.0

RECORDINGS: dict[str, dict[str, Any]] = {
    "cartpole": {"most_steps": 1_500_000, "stop_at": 450.0},
    "breakout": {"most_steps": 400_000, "stop_at": math.inf},
    "trend": {"most_steps": 100_000, "stop_at": math.inf},
}
"""The loops by name: the env steps of a training at most, and the return that ends it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Record curves or speeds, and write the file after every configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["curves", "speeds"])
    parser.add_argument("name", choices=list(RECORDINGS))
    parser.add_argument("--folder", type=Path, default=LANDSCAPES)
    options = parser.parse_args(arguments)
    path = options.folder / f"{options.name}.json"
    landscape = json.loads(path.read_text()) if path.exists() else {"configs": []}
    if options.what == "curves":
        for config in configs():
            known = [one for one in landscape["configs"] if one["config"] == config]
            if not known:
                known = [{"config": config, "curves": []}]
                landscape["configs"] += known
            _record(options.name, known[0])
            _write(path, landscape)
    else:
        _time_all(options.name, landscape)
        _write(path, landscape)


def configs() -> Iterator[dict[str, int]]:
    """Yield the grid: every batch size that is no larger than an update's samples."""
    for num_envs, num_steps, batch_size in itertools.product(_NUM_ENVS, _NUM_STEPS, _BATCH_SIZES):
        if batch_size <= num_envs * num_steps:
            yield {"num_envs": num_envs, "num_steps": num_steps, "batch_size": batch_size}


def curve(
    workload: JaxWorkload, *, most_steps: int, stop_at: float
) -> tuple[list[int], list[float]]:
    """Train from scratch; return env steps and returns at moments that lie ever further apart."""
    env_steps, returns = [], []
    done, next_at = 0, 1.0
    while done < most_steps:
        num_updates = max(1, math.ceil((next_at - done) / workload.env_steps_per_update))
        workload.run(num_updates)
        done += num_updates * workload.env_steps_per_update
        next_at = max(_GROWTH * done, done + most_steps / 500)
        held_out = workload.evaluate()
        env_steps.append(done)
        returns.append(workload.health()["mean_return"] if held_out is None else held_out)
        if returns[-1] >= stop_at:
            break
    return env_steps, returns


def _record(name: str, known: dict[str, Any]) -> None:
    """Train a configuration with the seeds that it lacks; add their curves to `known`."""
    task, started = RECORDINGS[name], time.monotonic()
    for seed in range(len(known["curves"]), _NUM_SEEDS):
        workload = getattr(loops, name)(known["config"], {"seed": seed})
        env_steps, returns = curve(workload, **task)
        rounded = [float(f"{value:.5g}") for value in returns]
        known["curves"].append({"seed": seed, "env_steps": env_steps, "returns": rounded})
    ends = " ".join(f"{c['returns'][-1]:.4g}@{c['env_steps'][-1]:,}" for c in known["curves"])
    print(f"{name} {known['config']}: {ends} ({time.monotonic() - started:.0f} s)", flush=True)


def _time_all(name: str, landscape: dict[str, Any]) -> None:
    """Time each configuration once per round; keep the median speed.

    The seconds to compile and the gradient noise scale are those before the first round.
    """
    workloads = []
    for known in landscape["configs"]:
        workload, started = getattr(loops, name)(known["config"], {"seed": 0}), time.monotonic()
        workload.compile()
        known["compile_s"] = round(time.monotonic() - started, 2)
        workload.run(2)
        workloads.append(workload)
    rounds: list[list[float]] = [[] for _ in workloads]
    for _ in range(_ROUNDS):
        for own, workload in zip(rounds, workloads, strict=True):
            num_updates, started = 0, time.monotonic()
            while (elapsed_s := time.monotonic() - started) < _ROUND_S:
                workload.run(1)
                num_updates += 1
            own.append(num_updates * workload.env_steps_per_update / elapsed_s)
    for own, workload, known in zip(rounds, workloads, landscape["configs"], strict=True):
        known["steps_per_second"] = round(sorted(own)[len(own) // 2], 1)
        scale = workload.health().get("gradient_noise_scale", math.inf)
        known["noise_scale"] = round(scale, 1) if math.isfinite(scale) else None


def _write(path: Path, landscape: dict[str, Any]) -> None:
    lines = ",\n".join(json.dumps(one) for one in landscape["configs"])
    write_text(path, f'{{"configs": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
