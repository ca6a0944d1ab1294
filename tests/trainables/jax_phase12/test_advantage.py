"""Advantages against plain NumPy."""

import jax.numpy as jnp
import numpy as np

from trainables.jax_phase12.advantage import Rollout, generalised_advantage
from trainables.jax_phase12.config import Hyperparameters


def test_advantages_agree_with_the_textbook() -> None:
    rng = np.random.default_rng(0)
    num_steps, num_envs = 11, 3
    reward, value = rng.normal(size=(2, num_steps, num_envs))
    done = rng.random((num_steps, num_envs)) < 0.3
    last_value = rng.normal(size=num_envs)
    values = np.vstack([value, last_value])
    expected, running = np.zeros((num_steps, num_envs)), np.zeros(num_envs)
    for t in reversed(range(num_steps)):
        alive = 1 - done[t]
        delta = reward[t] + 0.99 * values[t + 1] * alive - value[t]
        running = delta + 0.99 * 0.95 * alive * running
        expected[t] = running
    arrays = (jnp.float32(a) for a in (value, reward, done))
    rollout = Rollout(None, jnp.zeros(done.shape), jnp.zeros(done.shape), *arrays)
    advantage = generalised_advantage(rollout, jnp.float32(last_value), Hyperparameters())
    np.testing.assert_allclose(advantage, expected, rtol=1e-4, atol=1e-5)
