"""The trainings whose learning is recorded: factories for `--workload`, too."""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from benchmarks.gymnax_env import make_gymnax_env
from trainables.jax_phase12 import ppo, workload
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.network import NetworkSize
from trainables.jax_workload import JaxWorkload
from trainables.market.positions import PHASE_1
from trainables.market.synthetic import synthetic_bars

_SMALL = Hyperparameters(network=NetworkSize(trunk=64, head=32))
_TREND = 0.25
"""In units of a bar's volatility: enough to be learned in minutes, and not at once."""


def cartpole(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build CartPole under our PPO."""
    return _gymnax("CartPole-v1", config, options)


def breakout(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build MinAtar's Breakout under our PPO."""
    return _gymnax("Breakout-MinAtar", config, options)


def trend(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build Phase 1 on a market whose direction lasts for half an hour; the last fifth is held out.

    The market is the same for every seed.
    """
    return workload.build(
        PHASE_1,
        PpoConfig.from_mapping(config),
        synthetic_bars(seed=0, num_days=250, trend=_TREND),
        seed=int(options.get("seed", 0)),
        held_out=0.2,
    )


def _gymnax(name: str, config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    ppo_config = PpoConfig.from_mapping(config)
    return JaxWorkload(
        ppo.make_update(ppo_config, _SMALL),
        functools.partial(
            ppo.init_train_state,
            jax.random.key(int(options.get("seed", 0))),
            make_gymnax_env(name),
            ppo_config,
            _SMALL,
        ),
        env_steps_per_update=ppo_config.num_samples,
    )
