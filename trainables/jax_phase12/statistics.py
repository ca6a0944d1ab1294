"""Running statistics that live in the train state: of observations, returns and gradients. Pure."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_CLIP = 10.0
_NOISE_DECAY = 0.9  # per update; the ratio of two noisy estimates needs some tens of gradients
_MAX_NOISE_EPOCHS = 100.0


class Moments(NamedTuple):
    """Mean and variance of each observation entry over `count` observations: [observation_size]."""

    count: jax.Array
    mean: jax.Array
    variance: jax.Array


def init_moments(size: int) -> Moments:
    """Return statistics that leave an observation as it is."""
    return Moments(jnp.float32(0.0), jnp.zeros(size), jnp.ones(size))


def normalise(moments: Moments, observations: jax.Array) -> jax.Array:
    """Centre, scale and clip observations: [batch, observation_size]."""
    scale = jax.lax.rsqrt(moments.variance + 1e-6)
    return jnp.clip((observations - moments.mean) * scale, -_CLIP, _CLIP)


def init_sums(num_sets: int, size: int) -> jax.Array:
    """Return empty sums over observations: [num_sets, 2, observation_size].

    They are sums of deviations from a reference, and of their squares. Each device keeps its own
    set until all are merged.
    """
    return jnp.zeros((num_sets, 2, size))


def added(sums: jax.Array, deviations: jax.Array) -> jax.Array:
    """Add deviations [num_sets, batch, observation_size]."""
    both = jnp.sum(deviations, axis=1), jnp.sum(jnp.square(deviations), axis=1)
    return sums + jnp.stack(both, axis=1)


def moments_of(sums: jax.Array, reference: jax.Array, count: int) -> Moments:
    """Return the moments of `count` observations.

    The reference is one of them, or a mean of some: sums of squares of the observations themselves
    would lose the variance of values that are far from zero in float32.
    """
    deviation, square = jnp.sum(sums, axis=0) / count
    variance = jnp.maximum(square - jnp.square(deviation), 0.0)
    return Moments(jnp.float32(count), reference + deviation, variance)


def merged_moments(one: Moments, other: Moments) -> Moments:
    """Return the moments of two sets of observations, not both empty (Chan et al. 1979)."""
    count = one.count + other.count
    share = other.count / count
    shift = other.mean - one.mean
    variance = one.variance + share * (other.variance - one.variance)
    variance += share * (1.0 - share) * jnp.square(shift)
    return Moments(count, one.mean + share * shift, variance)


class Returns(NamedTuple):
    """Undiscounted returns of episodes.

    current: [num_envs] of the episodes that run. mean: over all `num_episodes` that ended, later
    over about the last `num_envs` of them. Before the first episode has ended, it is the mean of
    `current`, so that there is always a figure.
    """

    current: jax.Array
    mean: jax.Array
    num_episodes: jax.Array


def init_returns(num_envs: int) -> Returns:
    """Return the statistics before the first episode has ended."""
    return Returns(jnp.zeros(num_envs), jnp.float32(0.0), jnp.float32(0.0))


def updated_returns(
    returns: Returns, current: jax.Array, ended: jax.Array, num_ended: jax.Array
) -> Returns:
    """Merge a rollout: `num_ended` episodes ended in it, whose returns sum to `ended`."""
    num_episodes = returns.num_episodes + num_ended
    window = jnp.clip(num_episodes, 1.0, current.size)
    weight = jnp.minimum(num_ended / window, 1.0)
    mean = returns.mean + weight * (ended / jnp.maximum(num_ended, 1.0) - returns.mean)
    return Returns(current, jnp.where(num_episodes > 0, mean, jnp.mean(current)), num_episodes)


class NoiseScale(NamedTuple):
    """Running estimates of the trace of the gradient's covariance and of its squared norm."""

    trace: jax.Array
    square: jax.Array


def init_noise_scale() -> NoiseScale:
    """Return estimates of 0. Both grow with equal weights, so their ratio is unbiased."""
    return NoiseScale(jnp.float32(0.0), jnp.float32(0.0))


def updated_noise_scale(
    noise: NoiseScale, small: jax.Array, large: jax.Array, batch_size: int, num_samples: int
) -> NoiseScale:
    """Merge one epoch; appendix A.1 of McCandlish et al. 2018 (arXiv:1812.06162).

    small: mean squared norm of the minibatches' gradients, each over `batch_size` samples.
    large: squared norm of their mean, over `num_samples`.
    """
    trace = (small - large) / (1.0 / batch_size - 1.0 / num_samples)
    square = (num_samples * large - batch_size * small) / (num_samples - batch_size)
    return NoiseScale(
        _NOISE_DECAY * noise.trace + (1.0 - _NOISE_DECAY) * trace,
        _NOISE_DECAY * noise.square + (1.0 - _NOISE_DECAY) * square,
    )


def gradient_noise_scale(noise: NoiseScale, num_samples: int) -> jax.Array:
    """Return the samples at which a gradient's noise equals its signal: the critical batch size.

    Infinite beyond 100 times the samples of an update: the estimated signal is then zero or
    negative, or as good as that, and the scale is not known.
    """
    floor = jnp.maximum(noise.trace / (_MAX_NOISE_EPOCHS * num_samples), 1e-30)
    return jnp.where(noise.square > floor, noise.trace / noise.square, jnp.inf)
