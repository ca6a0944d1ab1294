"""Actions by columns, against JAX's own functions of whole rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainables.jax_phase12 import actions


@pytest.fixture
def logits() -> jax.Array:
    drawn = 3.0 * jax.random.normal(jax.random.key(0), (500, 6))
    return drawn.at[::3, 2].set(-1e9)  # forbidden there


def test_log_probabilities_and_entropies_are_those_of_log_softmax(logits: jax.Array) -> None:
    chosen = jnp.arange(500) % 6
    expected = jax.nn.log_softmax(logits)
    np.testing.assert_allclose(
        actions.log_prob(logits, chosen),
        jnp.take_along_axis(expected, chosen[:, None], axis=1)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )
    entropy = -(jnp.exp(expected) * expected).sum(axis=1)
    np.testing.assert_allclose(actions.entropy(logits), entropy, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_log_softmax(logits: jax.Array) -> None:
    chosen = jnp.where(jnp.arange(500) % 6 == 2, 3, jnp.arange(500) % 6)

    def ours(logits: jax.Array) -> jax.Array:
        return jnp.sum(actions.log_prob(logits, chosen) + actions.entropy(logits))

    def textbook(logits: jax.Array) -> jax.Array:
        rows = jax.nn.log_softmax(logits)
        of_chosen = jnp.take_along_axis(rows, chosen[:, None], axis=1)
        return jnp.sum(of_chosen) - jnp.sum(jnp.exp(rows) * rows)

    np.testing.assert_allclose(jax.grad(ours)(logits), jax.grad(textbook)(logits), atol=1e-4)


def test_samples_come_as_often_as_their_probability_and_never_if_forbidden() -> None:
    logits = jnp.tile(jnp.log(jnp.array([0.5, 0.3, 0.2, 1e-30])), (20_000, 1))
    sampled, log_prob = actions.sample(logits, jax.random.gumbel(jax.random.key(1), logits.shape))
    np.testing.assert_allclose(
        np.bincount(sampled, minlength=4) / 2e4, [0.5, 0.3, 0.2, 0], atol=0.02
    )
    np.testing.assert_allclose(log_prob, logits[0, sampled], atol=1e-5)
