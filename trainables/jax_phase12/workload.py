"""Phases 1 and 2 as tunable workloads: `trainables.jax_phase12.workload:phase1` and `:phase2`.

A configuration has the fields of `PpoConfig`, the options those of `MarketOptions`.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax

from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.devices import state_shardings
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_phase12.evaluation import mean_return
from trainables.jax_workload import JaxWorkload
from trainables.market.bars import Bars
from trainables.market.features import build_market, split
from trainables.market.options import MarketOptions
from trainables.market.positions import PHASE_1, PHASE_2, Rules

_NUMBERS = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
}
"""The training is written for these. JAX_ENABLE_X64=1 of an image, say, gives it indices of two
types, and accumulators that change theirs."""


def phase1(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build PPO that learns when to enter: hold, buy, sell."""
    return _build(PHASE_1, config, options)


def phase2(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build PPO that also manages the position: stop to break-even, trail on, trail off."""
    return _build(PHASE_2, config, options)


def _build(rules: Rules, config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    ppo_config = PpoConfig.from_mapping(config)
    chosen = MarketOptions.from_mapping(options)
    return build(
        rules,
        ppo_config,
        chosen.load_bars(),
        seed=chosen.seed_of_training,
        held_out=chosen.held_out,
    )


def build(
    rules: Rules, ppo_config: PpoConfig, bars: Bars, *, seed: int, held_out: float = 0.0
) -> JaxWorkload:
    """Build PPO that trades bars; of the last part, `held_out` of them, no episode is trained.

    Raises:
        WorkloadInputError: if no episode fits into the bars, or into a part of them.
    """
    for name, value in _NUMBERS.items():
        jax.config.update(name, value)
    market, hyperparameters = build_market(bars), Hyperparameters()
    evaluation = None
    if held_out:
        market, last = split(market, held_out)
        evaluation = functools.partial(_held_out_return, last.starts)
    env = TradingEnv(market=market, rules=rules)
    return JaxWorkload(
        ppo.make_update(ppo_config, hyperparameters),
        # A key made here would open the device before anything is compiled.
        lambda: ppo.init_train_state(jax.random.key(seed), env, ppo_config, hyperparameters),
        env_steps_per_update=ppo_config.num_samples,
        num_devices=ppo_config.num_devices,
        shardings=state_shardings,
        evaluation=evaluation,
    )


def _held_out_return(starts: Any, state: ppo.TrainState) -> jax.Array:
    """Return the mean return of episodes that begin at `starts`, bars that training never saw."""
    market = state.env.market._replace(starts=starts)
    return mean_return(state._replace(env=dataclasses.replace(state.env, market=market)))
