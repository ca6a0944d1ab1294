"""Proximal policy optimisation (Schulman et al. 2017): one update as one pure function.

Rollout, advantages and epochs of minibatches are scans inside a single program: nothing returns to
the host within an update, and nothing that changes from update to update is static. Any environment
with the five members of `JaxEnvironment` can be trained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainables.jax_phase12.adam import Adam, adam_step, init_adam, squared_norm
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.devices import of_devices, per_device, taken
from trainables.jax_phase12.environment import JaxEnvironment
from trainables.jax_phase12.network import Network, apply_network, init_network
from trainables.jax_phase12.statistics import (
    Moments,
    NoiseScale,
    Returns,
    gradient_noise_scale,
    init_moments,
    init_noise_scale,
    init_returns,
    merged_moments,
    normalise,
    pooled_moments,
    updated_moments,
    updated_noise_scale,
    updated_returns,
)


class TrainState(NamedTuple):
    """Everything that an update reads, changes and returns."""

    env: Any
    env_states: Any
    network: Network
    adam: Adam
    moments: Moments
    returns: Returns
    noise: NoiseScale
    key: jax.Array


class Learner(NamedTuple):
    """The part of the train state that gradient steps change."""

    network: Network
    adam: Adam
    noise: NoiseScale


class Sample(NamedTuple):
    """An environment step as gradient steps need it; leaves are [num_samples, ...]."""

    view: Any
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


class Rollout(NamedTuple):
    """All that was collected in one update; leaves are [num_steps, num_envs, ...]."""

    view: Any
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


def init_train_state(
    key: jax.Array, env: JaxEnvironment, config: PpoConfig, hyperparameters: Hyperparameters
) -> TrainState:
    """Make the first state: environments reset, network drawn, statistics empty."""
    key, reset_key, network_key = jax.random.split(key, 3)
    env_states = jax.vmap(env.reset)(jax.random.split(reset_key, config.num_envs))
    first = jax.tree.map(lambda leaf: leaf[0], env_states)
    (size,) = env.observe(env.view(first)).shape
    network = init_network(network_key, size, env.num_actions, hyperparameters.network)
    return TrainState(
        env=env,
        env_states=env_states,
        network=network,
        adam=init_adam(network),
        moments=init_moments(size),
        returns=init_returns(config.num_envs),
        noise=init_noise_scale(),
        key=key,
    )


def make_update(
    config: PpoConfig, hyperparameters: Hyperparameters
) -> Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]]:
    """Return `update(state) -> (state, metrics)`, pure and ready for `jax.jit`.

    On several devices it is the same mathematics: XLA shares the work out by where the state lies,
    see `devices.state_shardings`, and gradients are averaged over all of them.
    """

    def update(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        key, rollout_key, shuffle_key = jax.random.split(state.key, 3)
        env_states, moments, returns, rollout = collect(state, rollout_key, config)
        *_, last_value = evaluate(state, state.network, jax.vmap(state.env.view)(env_states))
        advantage = generalised_advantage(rollout, last_value, hyperparameters)
        samples = Sample(
            view=rollout.view,
            action=rollout.action,
            log_prob=rollout.log_prob,
            advantage=advantage,
            target=advantage + rollout.value,
        )
        samples = jax.tree.map(lambda leaf: of_devices(leaf, config.num_devices), samples)
        learner, metrics = train(state, samples, shuffle_key, config, hyperparameters)
        metrics |= {"mean_return": returns.mean, "mean_reward": jnp.mean(rollout.reward)}
        state = state._replace(
            env_states=env_states,
            moments=moments,  # from the next update on: within one, old and new policy see alike
            returns=returns,
            key=key,
            **learner._asdict(),
        )
        return state, metrics

    return update


def evaluate(
    state: TrainState, network: Network, views: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return observations [batch, size], logits [batch, num_actions] and values [batch]."""
    observations = jax.vmap(state.env.observe)(views)
    mask = jax.vmap(state.env.action_mask)(views)
    logits, values = apply_network(network, normalise(state.moments, observations), mask)
    return observations, logits, values


def collect(
    state: TrainState, key: jax.Array, config: PpoConfig
) -> tuple[Any, Moments, Returns, Rollout]:
    """Act for `num_steps` in every environment; return their states, statistics, the rollout.

    Each device keeps statistics of its own until the end: within the rollout none waits for others.
    """
    num_devices = config.num_devices

    def step(carry: Any, key: jax.Array) -> tuple[Any, Rollout]:
        env_states, moments, current, ended, num_ended = carry
        action_key, step_key = jax.random.split(key)
        view = jax.vmap(state.env.view)(env_states)
        observations, logits, value = evaluate(state, state.network, view)
        action = jax.random.categorical(action_key, logits)
        step_keys = jax.random.split(step_key, config.num_envs)
        env_states, reward, done = jax.vmap(state.env.step)(step_keys, env_states, action)
        total = current + reward
        carry = (
            env_states,
            jax.vmap(updated_moments)(moments, per_device(observations, num_devices)),
            jnp.where(done, 0.0, total),
            ended + per_device(jnp.where(done, total, 0.0), num_devices).sum(axis=1),
            num_ended + per_device(done.astype(jnp.float32), num_devices).sum(axis=1),
        )
        return carry, Rollout(view, action, _log_prob(logits, action), value, reward, done)

    zeros = jnp.zeros(num_devices)
    new = jax.tree.map(lambda leaf: jnp.zeros((num_devices, *leaf.shape)), state.moments)
    carry = state.env_states, new, state.returns.current, zeros, zeros
    keys = jax.random.split(key, config.num_steps)
    (env_states, new, current, ended, num_ended), rollout = jax.lax.scan(step, carry, keys)
    moments = merged_moments(state.moments, pooled_moments(new))
    returns = updated_returns(state.returns, current, jnp.sum(ended), jnp.sum(num_ended))
    return env_states, moments, returns, rollout


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


def train(
    state: TrainState,
    samples: Sample,
    key: jax.Array,
    config: PpoConfig,
    hyperparameters: Hyperparameters,
) -> tuple[Learner, dict[str, jax.Array]]:
    """Run the epochs of minibatches over samples [num_devices, samples of each, ...].

    Each device shuffles its own samples, and has an equal part of every minibatch: no sample moves.
    """
    loss_gradient = jax.grad(ppo_loss, has_aux=True)

    def minibatch(carry: Any, rows: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        network, adam, total = carry
        batch = jax.tree.map(lambda leaf: taken(leaf, rows), samples)
        gradient, metrics = loss_gradient(network, state, batch, hyperparameters)
        square = squared_norm(gradient)
        metrics["gradient_norm"] = norm = jnp.sqrt(square)
        metrics["square"] = square
        network, adam = adam_step(
            network,
            gradient,
            norm,
            adam,
            hyperparameters.learning_rate,
            hyperparameters.max_gradient_norm,
        )
        return (network, adam, jax.tree.map(jnp.add, total, gradient)), metrics

    def epoch(carry: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        # One sort; jax.random.permutation sorts twice to be free of ties, which here do no harm.
        shape = (config.num_devices, config.num_samples // config.num_devices)
        order = jnp.argsort(jax.random.bits(key, shape))
        rows = order.reshape(config.num_devices, config.num_minibatches, -1).swapaxes(0, 1)
        network, adam = carry
        zeros = jax.tree.map(jnp.zeros_like, network)
        (network, adam, total), metrics = jax.lax.scan(minibatch, (network, adam, zeros), rows)
        metrics = jax.tree.map(jnp.mean, metrics)
        metrics["large"] = squared_norm(total) / config.num_minibatches**2
        return (network, adam), metrics

    keys = jax.random.split(key, config.num_epochs)
    (network, adam), metrics = jax.lax.scan(epoch, (state.network, state.adam), keys)
    # The first epoch only: later ones see each sample again, and their noise is smaller.
    small, large = metrics.pop("square")[0], metrics.pop("large")[0]
    metrics = jax.tree.map(jnp.mean, metrics)
    noise = state.noise
    if config.num_minibatches > 1:
        noise = updated_noise_scale(noise, small, large, config.batch_size, config.num_samples)
        metrics["gradient_noise_scale"] = gradient_noise_scale(noise, config.num_samples)
    return Learner(network, adam, noise), metrics


def ppo_loss(
    network: Network, state: TrainState, batch: Sample, hyperparameters: Hyperparameters
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of one minibatch and its metrics.

    The loss is the clipped surrogate, the value's squared error and the entropy bonus.
    """
    _, logits, values = evaluate(state, network, batch.view)
    advantage = batch.advantage - jnp.mean(batch.advantage)
    advantage /= jnp.std(batch.advantage) + 1e-8
    log_ratio = _log_prob(logits, batch.action) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - hyperparameters.clip_ratio, 1.0 + hyperparameters.clip_ratio)
    policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
    value_loss = 0.5 * jnp.mean(jnp.square(values - batch.target))
    log_probs = jax.nn.log_softmax(logits)
    entropy = -jnp.mean(jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1))
    loss = (
        policy_loss
        + hyperparameters.value_coefficient * value_loss
        - hyperparameters.entropy_coefficient * entropy
    )
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean(ratio - 1.0 - log_ratio),  # http://joschu.net/blog/kl-approx.html
        "clip_fraction": jnp.mean(ratio != clipped),
    }


def _log_prob(logits: jax.Array, action: jax.Array) -> jax.Array:
    """[batch] log-probabilities; by a one-hot sum, whose gradient needs no scatter."""
    chosen = jax.nn.one_hot(action, logits.shape[-1])
    return jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=-1)
