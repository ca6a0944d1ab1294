"""The trainings that GPUs are modelled with: factories for `--workload`, too.

Phase 1 is a small network over cheap environments; `pixels` a convolution over stored images, whose
memory grows the fastest; `physics` a small network over environments that take 32 steps of physics
for each action.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.gymnax_env import GymnaxEnv, make_gymnax_env
from benchmarks.reference_ppo import init_runner_state, make_reference_update
from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.network import Dense
from trainables.jax_phase12.workload import phase1
from trainables.jax_workload import JaxWorkload

__all__ = ["phase1", "physics", "pixels"]

_IMAGE = (10, 10, 4)
_CHANNELS, _HIDDEN = 32, 256
_PHYSICS_STEPS = 32


class Convolution(NamedTuple):
    """A convolution of 3 x 3, a hidden layer and one layer for logits and value."""

    kernel: jax.Array
    hidden: Dense
    last: Dense


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Held(GymnaxEnv):
    """A gymnax environment in which an action holds for several steps, as in robotics."""

    def step(
        self, key: jax.Array, state: Any, action: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """Step until the last, or until an episode ends; rewards add up."""

        def hold(carry: Any, key: jax.Array) -> tuple[Any, None]:
            state, reward, done = carry
            after, more, ends = super(Held, self).step(key, state, action)
            kept = jax.tree.map(lambda old, new: jnp.where(done, old, new), state, after)
            return (kept, reward + jnp.where(done, 0.0, more), done | ends), None

        first = (state, jnp.zeros(()), jnp.zeros((), bool))
        carry, _ = jax.lax.scan(hold, first, jax.random.split(key, _PHYSICS_STEPS))
        held: tuple[Any, jax.Array, jax.Array] = carry
        return held


def pixels(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build MinAtar's Breakout with a convolution, in the loop that stores its observations."""
    ppo_config, hyperparameters = PpoConfig.from_mapping(config), Hyperparameters()
    return JaxWorkload(
        make_reference_update(ppo_config, hyperparameters, _apply_convolution),
        functools.partial(
            init_runner_state,
            jax.random.key(int(options.get("seed", 0))),
            make_gymnax_env("Breakout-MinAtar"),
            ppo_config,
            hyperparameters,
            _init_convolution,
        ),
        env_steps_per_update=ppo_config.num_samples,
    )


def physics(config: Mapping[str, Any], options: Mapping[str, Any]) -> JaxWorkload:
    """Build Acrobot under our PPO, with 32 steps of its Runge-Kutta physics for each action."""
    ppo_config, hyperparameters = PpoConfig.from_mapping(config), Hyperparameters()
    bare = make_gymnax_env("Acrobot-v1")
    return JaxWorkload(
        ppo.make_update(ppo_config, hyperparameters),
        functools.partial(
            ppo.init_train_state,
            jax.random.key(int(options.get("seed", 0))),
            Held(env=bare.env, params=bare.params),
            ppo_config,
            hyperparameters,
        ),
        env_steps_per_update=ppo_config.num_samples,
    )


def _init_convolution(key: jax.Array, num_inputs: int, num_actions: int) -> Convolution:
    rows, columns, planes = _IMAGE
    assert num_inputs == rows * columns * planes
    keys = jax.random.split(key, 3)
    num_features = (rows - 2) * (columns - 2) * _CHANNELS
    scale = (2.0 / (9 * planes)) ** 0.5
    return Convolution(
        kernel=scale * jax.random.normal(keys[0], (3, 3, planes, _CHANNELS)),
        hidden=_dense(keys[1], num_features, _HIDDEN),
        last=_dense(keys[2], _HIDDEN, num_actions + 1),
    )


def _dense(key: jax.Array, num_inputs: int, num_units: int) -> Dense:
    weight = jax.random.normal(key, (num_inputs, num_units)) * (2.0 / num_inputs) ** 0.5
    return Dense(weight, jnp.zeros(num_units))


def _apply_convolution(
    network: Convolution, observations: jax.Array, action_mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return masked logits [batch, num_actions] and values [batch]."""
    images = observations.reshape(-1, *_IMAGE)
    x = jax.lax.conv_general_dilated(
        images, network.kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jax.nn.relu(x).reshape(len(images), -1)
    x = jax.nn.relu(x @ network.hidden.weight + network.hidden.bias)
    x = x @ network.last.weight + network.last.bias
    return jnp.where(action_mask, x[:, :-1], -1e9), x[:, -1]
