"""The return of a policy on episodes that it was not trained on. Pure.

The policy takes its likeliest action, and the same episodes are played each time: what differs
between two evaluations is the policy alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainables.jax_phase12 import ppo

NUM_EPISODES = 128


class Playing(NamedTuple):
    """The episodes as they are played; leaves are [NUM_EPISODES, ...]."""

    env_states: Any
    total: jax.Array
    is_over: jax.Array


def mean_return(state: ppo.TrainState, *, num_episodes: int = NUM_EPISODES) -> jax.Array:
    """Play episodes of `state.env` to their ends; return the mean of their undiscounted returns."""
    env = state.env

    def step(playing: Playing) -> Playing:
        views = jax.vmap(env.view)(playing.env_states)
        _, logits, _ = ppo.evaluate(state, state.network, views)
        keys = jnp.broadcast_to(jax.random.key(0), (num_episodes,))  # of resets that do not count
        env_states, reward, done = jax.vmap(env.step)(
            keys, playing.env_states, jnp.argmax(logits, axis=-1)
        )
        total = playing.total + jnp.where(playing.is_over, 0.0, reward)
        return Playing(env_states, total, playing.is_over | done)

    starts = jax.random.split(jax.random.key(0), num_episodes)
    playing = Playing(
        jax.vmap(env.reset)(starts), jnp.zeros(num_episodes), jnp.zeros(num_episodes, bool)
    )
    return jnp.mean(jax.lax.while_loop(lambda one: ~jnp.all(one.is_over), step, playing).total)
