"""Any gymnax environment with discrete actions and flat observations, as `JaxEnvironment`."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import gymnax
import jax
import jax.numpy as jnp

from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.network import NetworkSize
from trainables.jax_workload import JaxWorkload


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class GymnaxEnv:
    """A gymnax environment, whose view is the observation itself: nothing smaller holds it."""

    env: Any = dataclasses.field(metadata={"static": True})
    params: Any

    @property
    def num_actions(self) -> int:
        """Number of discrete actions."""
        return int(self.env.num_actions)

    def reset(self, key: jax.Array) -> Any:
        """Return a first observation and state."""
        return self.env.reset(key, self.params)

    def view(self, state: Any) -> jax.Array:
        """Return the observation."""
        return state[0]

    def observe(self, view: jax.Array) -> jax.Array:
        """[observation_size] float32."""
        return view.reshape(-1)

    def action_mask(self, view: jax.Array) -> jax.Array:
        """[num_actions], all True."""
        return jnp.ones(self.num_actions, bool)

    def step(
        self, key: jax.Array, state: Any, action: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """Step and reset; a time limit counts as an end, as in most PPO code."""
        observation, env_state, reward, terminated, truncated, _ = self.env.step(
            key, state[1], action, self.params
        )
        return (observation, env_state), reward, terminated | truncated


def make_gymnax_env(name: str) -> GymnaxEnv:
    """Make a gymnax environment by its name, such as "CartPole-v1"."""
    env, params = gymnax.make(name)
    return GymnaxEnv(env=env, params=params)


def cartpole(config: Mapping[str, int], options: Mapping[str, Any]) -> JaxWorkload:
    """Build CartPole under our PPO with a network so small that launches cost more than sums."""
    ppo_config = PpoConfig.from_mapping(config)
    hyperparameters = Hyperparameters(network=NetworkSize(trunk=64, head=32))
    init = functools.partial(
        ppo.init_train_state,
        jax.random.key(int(options.get("seed", 0))),
        make_gymnax_env("CartPole-v1"),
        ppo_config,
        hyperparameters,
    )
    return JaxWorkload(
        ppo.make_update(ppo_config, hyperparameters),
        init,
        env_steps_per_update=ppo_config.num_samples,
    )
