"""Phases 1 and 2 as tunable workloads: `trainables.jax_phase12.workload:phase1` and `:phase2`.

A configuration has the fields of `PpoConfig`, the options those of `MarketOptions`.
"""

from collections.abc import Mapping
from typing import Any

import jax

from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.devices import state_shardings
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_workload import JaxWorkload
from trainables.market.features import build_market
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
    for name, value in _NUMBERS.items():
        jax.config.update(name, value)
    ppo_config = PpoConfig.from_mapping(config)
    chosen = MarketOptions.from_mapping(options)
    env = TradingEnv(market=build_market(chosen.load_bars()), rules=rules)
    hyperparameters = Hyperparameters()
    return JaxWorkload(
        ppo.make_update(ppo_config, hyperparameters),
        lambda: ppo.init_train_state(jax.random.key(chosen.seed), env, ppo_config, hyperparameters),
        env_steps_per_update=ppo_config.num_samples,
        num_devices=ppo_config.num_devices,
        shardings=state_shardings,
    )
