"""The speed of our PPO, beside a PureJaxRL-style loop and this machine's matrix products.

    python -m benchmarks.ppo [--num-envs 256] [--num-steps 128] [--batch-size 1024] [--rounds 5]

Both loops run in one process, in turns with a matrix product, so that a noisy machine slows all
three. Ratio and share of the peak are medians over the rounds. Needs the `test` extra: gymnax, and
optax with it.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_phase12.environment import JaxEnvironment
from trainables.jax_workload import JaxWorkload
from trainables.market.features import Market, build_market
from trainables.market.positions import PHASE_1, PHASE_2
from trainables.market.synthetic import synthetic_bars

_BLOCK_S = 1.5
_RULES = {"Phase 1": PHASE_1, "Phase 2": PHASE_2}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--num-steps", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config = PpoConfig(
        num_envs=arguments.num_envs,
        num_steps=arguments.num_steps,
        batch_size=arguments.batch_size,
    )
    print(f"{jax.devices()[0].device_kind}, {config}")
    print(
        f"{'':<10}{'ours':>10}{'reference':>12}{'ratio':>7}{'MFLOP':>8}{'peak':>10}{'of peak':>9}\n"
        f"{'':<10}{'steps/s':>10}{'steps/s':>12}{'':>7}{'/step':>8}{'GFLOP/s':>10}"
    )
    for name, env in environments():
        ours, reference = both_workloads(env, config)
        program = ours.compile()
        reference.compile()
        rounds = measure_in_turns(ours, reference, arguments.rounds)
        mine, theirs, peak = (statistics.median(column) for column in zip(*rounds, strict=True))
        flops = (program.flops_per_update or 0.0) / config.num_samples
        ratio = statistics.median(a / b for a, b, _ in rounds)
        share = statistics.median(a * flops / p for a, _, p in rounds)
        print(
            f"{name:<10}{mine:>10,.0f}{theirs:>12,.0f}{ratio:>7.2f}{flops / 1e6:>8.2f}"
            f"{peak / 1e9:>10.0f}{share:>9.0%}",
            flush=True,
        )


def environments() -> Iterator[tuple[str, JaxEnvironment]]:
    """Yield what is trained: our phases on a year of synthetic minutes, and gymnax CartPole."""
    for name in (*_RULES, "CartPole"):
        yield name, environment(name)


def environment(name: str) -> JaxEnvironment:
    """Return the environment of that name; CartPole alone needs gymnax."""
    if name == "CartPole":
        from benchmarks.gymnax_env import make_gymnax_env  # gymnax may be absent

        return make_gymnax_env("CartPole-v1")
    return TradingEnv(market=_market(), rules=_RULES[name])


@functools.cache
def _market() -> Market:
    return build_market(synthetic_bars(seed=0, num_days=250))


def both_workloads(env: JaxEnvironment, config: PpoConfig) -> tuple[JaxWorkload, JaxWorkload]:
    """Return our loop and the reference, on the same environment, network and sizes."""
    return our_workload(env, config), reference_workload(env, config)


def our_workload(env: JaxEnvironment, config: PpoConfig) -> JaxWorkload:
    """Return our loop."""
    hyperparameters = Hyperparameters()
    return JaxWorkload(
        ppo.make_update(config, hyperparameters),
        functools.partial(ppo.init_train_state, jax.random.key(0), env, config, hyperparameters),
        env_steps_per_update=config.num_samples,
    )


def reference_workload(env: JaxEnvironment, config: PpoConfig) -> JaxWorkload:
    """Return the reference; it needs optax."""
    # optax may be absent
    from benchmarks.reference_ppo import init_runner_state, make_reference_update

    hyperparameters = Hyperparameters()
    return JaxWorkload(
        make_reference_update(config, hyperparameters),
        functools.partial(init_runner_state, jax.random.key(0), env, config, hyperparameters),
        env_steps_per_update=config.num_samples,
    )


def measure_in_turns(
    ours: JaxWorkload, reference: JaxWorkload, num_rounds: int
) -> list[tuple[float, float, float]]:
    """Yield per round the env steps per second of ours and the reference, and matrix FLOP/s."""
    mine, theirs = _updates_per_block(ours), _updates_per_block(reference)
    return [
        (_speed(ours, mine), _speed(reference, theirs), matmul_speed()) for _ in range(num_rounds)
    ]


def matmul_speed(size: int = 2048, repeats: int = 10) -> float:
    """Return the FLOP/s of float32 products of [size, size] matrices: the best of a few."""
    matrix = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(matrix, matrix).block_until_ready()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2.0 * size**3 / min(seconds)


def _updates_per_block(workload: JaxWorkload) -> int:
    workload.run(2)
    start = time.perf_counter()
    workload.run(1)
    return max(1, round(_BLOCK_S / (time.perf_counter() - start)))


def _speed(workload: JaxWorkload, num_updates: int) -> float:
    start = time.perf_counter()
    workload.run(num_updates)
    return num_updates * workload.env_steps_per_update / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
