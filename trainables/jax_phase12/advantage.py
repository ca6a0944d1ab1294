"""Advantages of a rollout. Plain JAX, pure."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainables.jax_phase12.config import Hyperparameters


class Rollout(NamedTuple):
    """All that was collected in one update; leaves are [num_steps, num_envs, ...]."""

    view: Any
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


def generalised_advantage(
    rollout: Rollout, last_value: jax.Array, hyperparameters: Hyperparameters
) -> jax.Array:
    """[num_steps, num_envs] GAE(lambda) estimates (Schulman et al. 2016).

    last_value: [num_envs] of the states after the rollout.
    """

    def step(carry: Any, transition: Rollout) -> tuple[Any, jax.Array]:
        next_advantage, next_value = carry
        discount = hyperparameters.discount * (1.0 - transition.done)
        delta = transition.reward + discount * next_value - transition.value
        advantage = delta + hyperparameters.gae_lambda * discount * next_advantage
        return (advantage, transition.value), advantage

    # An associative scan is no faster and takes a second longer to compile. Unrolled: fewer and
    # larger kernels on a GPU.
    carry = jnp.zeros_like(last_value), last_value
    _, advantage = jax.lax.scan(step, carry, rollout._replace(view=None), reverse=True, unroll=8)
    return advantage
