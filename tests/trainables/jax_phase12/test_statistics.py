"""Moments of observations: of sets that devices keep apart, merged over rollouts."""

import jax.numpy as jnp
import numpy as np

from trainables.jax_phase12.statistics import (
    added,
    init_moments,
    init_sums,
    merged_moments,
    moments_of,
    normalise,
)


def test_moments_are_those_of_all_observations_even_far_from_zero() -> None:
    """Three rollouts of five steps, by two devices with ten environments each."""
    x = 5000 + np.random.default_rng(0).normal(size=(3, 5, 2, 10, 2)) * [1, 20]
    x += np.array([0, 3, -5])[:, None, None, None, None]
    moments = init_moments(2)
    for rollout in x:
        reference = jnp.float32(rollout[0].mean(axis=(0, 1)))
        sums = init_sums(num_sets=2, size=2)
        for step in rollout:
            sums = added(sums, jnp.float32(step) - reference)
        moments = merged_moments(moments, moments_of(sums, reference, rollout[..., 0].size))
    everything = x.reshape(-1, 2)
    np.testing.assert_allclose(moments.count, len(everything))
    np.testing.assert_allclose(moments.mean, everything.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, everything.var(axis=0), rtol=0.02)
    normalised = normalise(moments, jnp.float32(everything))
    np.testing.assert_allclose(normalised.std(axis=0), 1, rtol=0.02)
    assert normalise(moments, jnp.full((1, 2), 1e9)).max() == 10
