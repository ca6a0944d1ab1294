"""Adam (Kingma & Ba 2015) with the gradient clipped by its global norm. Plain JAX, pure."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-5  # PPO's customary epsilon


class Adam(NamedTuple):
    """Steps taken, and running first and second moments, shaped as the parameters."""

    count: jax.Array
    mean: Any
    square: Any


def init_adam(parameters: Any) -> Adam:
    """Return the state before the first step."""
    zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    return Adam(jnp.float32(0.0), *zeros)


def squared_norm(tree: Any) -> jax.Array:
    """Return the sum of squares over all leaves."""
    return sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)), jnp.float32(0.0))


def adam_step(
    parameters: Any, gradient: Any, norm: jax.Array, adam: Adam, rate: float, max_norm: float
) -> tuple[Any, Adam]:
    """Return the parameters and moments after a step; `norm` is the gradient's."""
    clip = jnp.minimum(1.0, max_norm / jnp.maximum(norm, 1e-12))
    count = adam.count + 1.0
    mean = jax.tree.map(lambda m, g: m + (1.0 - _MEAN_DECAY) * (clip * g - m), adam.mean, gradient)
    square = jax.tree.map(
        lambda s, g: s + (1.0 - _SQUARE_DECAY) * (jnp.square(clip * g) - s), adam.square, gradient
    )
    mean_rate = rate / (1.0 - _MEAN_DECAY**count)
    square_scale = 1.0 / (1.0 - _SQUARE_DECAY**count)
    parameters = jax.tree.map(
        lambda p, m, s: p - mean_rate * m / (jnp.sqrt(square_scale * s) + _EPSILON),
        parameters,
        mean,
        square,
    )
    return parameters, Adam(count, mean, square)
