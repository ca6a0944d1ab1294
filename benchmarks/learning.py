"""Env steps that learning takes: fast configurations step more often, and not always learn sooner.

    python -m benchmarks.learning [--target 400] [--most-steps 3000000] [--seeds 3]

PPO as of Phase 1 and 2 on gymnax CartPole, from scratch, until the mean return reaches the target.
Steps and updates are counted, and no clock is read. The seconds follow from the recorded speeds of
benchmarks/landscapes, where a configuration is in them. Needs the `test` extra, for gymnax.
"""

import argparse
import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import jax

from benchmarks import markdown, recorded
from benchmarks.gymnax_env import make_gymnax_env
from benchmarks.search import FOLDER
from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.network import NetworkSize

_HYPERPARAMETERS = Hyperparameters(network=NetworkSize(trunk=64, head=32))
"""Those of the recorded landscape."""

_CONFIGS = (
    (16, 128, 256),
    (64, 128, 256),
    (64, 128, 2048),
    (256, 128, 2048),
    (256, 128, 8192),
    (1024, 128, 2048),
    (1024, 128, 8192),
)
"""(num_envs, num_steps, batch_size), by the samples of an update."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The env steps and updates until the target, infinite if they did not suffice."""

    env_steps: float
    updates: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=float, default=400.0)
    parser.add_argument("--most-steps", type=float, default=3e6)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    speeds = recorded.true_speeds(recorded.read(FOLDER / "cartpole-2cpu.json"))
    print(_HEADER)
    for num_envs, num_steps, batch_size in _CONFIGS:
        config = PpoConfig(num_envs=num_envs, num_steps=num_steps, batch_size=batch_size)
        update = jax.jit(ppo.make_update(config, _HYPERPARAMETERS))
        runs = [
            learn(config, update, seed, target=options.target, most_steps=options.most_steps)
            for seed in range(options.seeds)
        ]
        speed = speeds.get((num_envs, num_steps, batch_size, config.num_epochs))
        print(_row(config, runs, speed), flush=True)


def learn(
    config: PpoConfig,
    update: Callable[[Any], tuple[Any, dict[str, jax.Array]]],
    seed: int,
    *,
    target: float,
    most_steps: float,
) -> Learned:
    """Train one seed until the mean return of recent episodes reaches the target."""
    env = make_gymnax_env("CartPole-v1")
    state = ppo.init_train_state(jax.random.key(seed), env, config, _HYPERPARAMETERS)
    num_updates = 0
    while num_updates * config.num_samples < most_steps:
        state, metrics = update(state)
        num_updates += 1
        if metrics["mean_return"] >= target:
            return Learned(env_steps=num_updates * config.num_samples, updates=num_updates)
    return Learned(env_steps=math.inf, updates=math.inf)


_HEADER = """\
| envs x steps / batch | samples of an update | env steps needed | updates | env steps/s | seconds |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def _row(config: PpoConfig, runs: Sequence[Learned], speed: float | None) -> str:
    """Return one row: medians over the seeds."""
    steps = statistics.median(run.env_steps for run in runs)
    cells = [
        f"{config.num_envs} x {config.num_steps} / {config.batch_size}",
        f"{config.num_samples:,}",
        f"{steps:,.0f}",
        f"{statistics.median(run.updates for run in runs):,.0f}",
        "-" if speed is None else f"{speed:,.0f}",
        "-" if speed is None else f"{steps / speed:.2f}",
    ]
    return markdown.row(cells)


if __name__ == "__main__":
    main()
