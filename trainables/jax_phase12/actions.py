"""Discrete actions by their logits: sampling, log-probabilities and entropy. Plain JAX, pure.

There are few actions, so logits [batch, num_actions] are taken apart into columns [batch]. All that
is done with columns is one kernel, where sums over a last axis of 3 are a kernel each.
"""

import functools

import jax
import jax.numpy as jnp


def sample(logits: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return actions [batch] and their log-probabilities, by the Gumbel trick.

    noise: [batch, num_actions], standard Gumbel.
    """
    scores = _columns(logits + noise)
    best, action = scores[0], jnp.zeros(len(logits), jnp.int32)
    for number, score in enumerate(scores[1:], start=1):
        action = jnp.where(score > best, number, action)
        best = jnp.maximum(score, best)
    return action, log_prob(logits, action)


def log_prob(logits: jax.Array, action: jax.Array) -> jax.Array:
    """Return the log-probabilities [batch] of actions [batch]."""
    columns = _columns(logits)
    chosen = sum(jnp.where(action == number, column, 0.0) for number, column in enumerate(columns))
    return chosen - _log_sum(columns)


def entropy(logits: jax.Array) -> jax.Array:
    """Return the entropies [batch]. A forbidden action's logit is finite, so it adds 0."""
    columns = _columns(logits)
    log_sum = _log_sum(columns)
    parts = [jnp.exp(column - log_sum) * (column - log_sum) for column in columns]
    return -functools.reduce(jnp.add, parts)


def _columns(logits: jax.Array) -> list[jax.Array]:
    return [logits[:, number] for number in range(logits.shape[1])]


def _log_sum(columns: list[jax.Array]) -> jax.Array:
    most = jax.lax.stop_gradient(functools.reduce(jnp.maximum, columns))
    return most + jnp.log(functools.reduce(jnp.add, [jnp.exp(one - most) for one in columns]))
