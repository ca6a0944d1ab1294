"""Proximal policy optimisation (Schulman et al. 2017): one update as one pure function.

Rollout, advantages and epochs of minibatches are scans inside a single program: nothing returns to
the host within an update, and nothing that changes from update to update is static. Any environment
with the five members of `JaxEnvironment` can be trained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trainables.jax_phase12 import actions
from trainables.jax_phase12.adam import Adam, adam_step, init_adam, squared_norm
from trainables.jax_phase12.advantage import Rollout, generalised_advantage
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.devices import in_parts, of_devices, taken
from trainables.jax_phase12.environment import JaxEnvironment
from trainables.jax_phase12.network import (
    FusedNetwork,
    Network,
    apply_fused,
    apply_network,
    fuse,
    init_network,
)
from trainables.jax_phase12.records import Record, pack
from trainables.jax_phase12.statistics import (
    Moments,
    NoiseScale,
    Returns,
    added,
    gradient_noise_scale,
    init_moments,
    init_noise_scale,
    init_returns,
    init_sums,
    merged_moments,
    moments_of,
    normalise,
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
    """Environment steps as gradient steps need them; leaves are [num_devices, of each, ...], or
    [batch, ...].
    """

    view: Any
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


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
        precision = config.matmul_precision or jax.config.jax_default_matmul_precision
        with jax.default_matmul_precision(precision):
            return updated(state)

    def updated(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
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
    state: TrainState, network: Network | FusedNetwork, views: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return observations [batch, size], logits [batch, num_actions] and values [batch]."""
    observations = jax.vmap(state.env.observe)(views)
    mask = jax.vmap(state.env.action_mask)(views)
    inputs = normalise(state.moments, observations)
    if isinstance(network, FusedNetwork):
        return observations, *apply_fused(network, inputs, mask)
    return observations, *apply_network(network, inputs, mask)


def collect(
    state: TrainState, key: jax.Array, config: PpoConfig
) -> tuple[Any, Moments, Returns, Rollout]:
    """Act for `num_steps` in every environment; return their states, statistics, the rollout.

    Each device keeps statistics of its own until the end: within the rollout none waits for others.
    """
    num_devices, env, network = config.num_devices, state.env, fuse(state.network)

    def step(carry: Any, drawn: Any) -> tuple[Any, Record]:
        running, sums = carry
        env_states, current, ended, num_ended = running.unpack()
        noise, keys = drawn
        view = jax.vmap(env.view)(env_states)
        observations, logits, value = evaluate(state, network, view)
        action, log_prob = actions.sample(logits, noise)
        env_states, reward, done = jax.vmap(env.step)(keys, env_states, action)
        total = current + reward
        running = (
            env_states,
            jnp.where(done, 0.0, total),
            ended + jnp.where(done, total, 0.0),
            num_ended + done,
        )
        sums = added(sums, in_parts(observations - reference, num_devices))
        made = Rollout(view, action, log_prob, value, reward, done)
        return (pack(running), sums), pack(made)

    reference = jnp.mean(jax.vmap(lambda one: env.observe(env.view(one)))(state.env_states), axis=0)
    zeros = jnp.zeros(config.num_envs)
    running = pack((state.env_states, state.returns.current, zeros, zeros))
    shape = (config.num_steps, config.num_envs)
    noise_key, step_key = jax.random.split(key)
    drawn = (
        jax.random.gumbel(noise_key, (*shape, env.num_actions)),
        jax.random.split(step_key, shape),
    )
    carry = running, init_sums(num_devices, *reference.shape)
    (running, sums), rollout = jax.lax.scan(step, carry, drawn)
    env_states, current, ended, num_ended = running.unpack()
    moments = merged_moments(state.moments, moments_of(sums, reference, config.num_samples))
    returns = updated_returns(state.returns, current, jnp.sum(ended), jnp.sum(num_ended))
    return env_states, moments, returns, rollout.unpack()


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

    def minibatch(carry: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
        network, adam, total = carry
        batch = jax.tree.map(lambda leaf: taken(leaf, rows), samples)
        gradient, losses = loss_gradient(network, state, batch, hyperparameters)
        square = squared_norm(gradient)
        norm = jnp.sqrt(square)
        network, adam = adam_step(
            network,
            gradient,
            norm,
            adam,
            hyperparameters.learning_rate,
            hyperparameters.max_gradient_norm,
        )
        figures = jnp.stack([*losses, norm, square])  # one array to store, not one for each
        return (network, adam, jax.tree.map(jnp.add, total, gradient)), figures

    def epoch(carry: Any, key: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        # One sort; jax.random.permutation sorts twice to be free of ties, which here do no harm.
        shape = (config.num_devices, config.num_samples // config.num_devices)
        order = jnp.argsort(jax.random.bits(key, shape))
        rows = order.reshape(config.num_devices, config.num_minibatches, -1).swapaxes(0, 1)
        network, adam = carry
        zeros = jax.tree.map(jnp.zeros_like, network)
        (network, adam, total), figures = jax.lax.scan(minibatch, (network, adam, zeros), rows)
        large = squared_norm(total) / config.num_minibatches**2
        return (network, adam), (jnp.mean(figures, axis=0), large)

    keys = jax.random.split(key, config.num_epochs)
    (network, adam), (figures, large) = jax.lax.scan(epoch, (state.network, state.adam), keys)
    # The first epoch only: later ones see each sample again, and their noise is smaller.
    small, large = figures[0, -1], large[0]
    *means, _ = jnp.mean(figures, axis=0)
    metrics = dict(zip((*Losses._fields, "gradient_norm"), means, strict=True))
    noise = state.noise
    if config.num_minibatches > 1:
        noise = updated_noise_scale(noise, small, large, config.batch_size, config.num_samples)
        metrics["gradient_noise_scale"] = gradient_noise_scale(noise, config.num_samples)
    return Learner(network, adam, noise), metrics


class Losses(NamedTuple):
    """The figures of one minibatch beside the loss itself, each a number."""

    policy_loss: jax.Array
    value_loss: jax.Array
    entropy: jax.Array
    approx_kl: jax.Array
    clip_fraction: jax.Array


def ppo_loss(
    network: Network, state: TrainState, batch: Sample, hyperparameters: Hyperparameters
) -> tuple[jax.Array, Losses]:
    """Return the loss of one minibatch and its parts.

    The loss is the clipped surrogate, the value's squared error and the entropy bonus.
    """
    _, logits, values = evaluate(state, network, batch.view)
    advantage = batch.advantage - jnp.mean(batch.advantage)
    advantage /= jnp.std(batch.advantage) + 1e-8
    log_ratio = actions.log_prob(logits, batch.action) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - hyperparameters.clip_ratio, 1.0 + hyperparameters.clip_ratio)
    parts = Losses(
        policy_loss=-jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage)),
        value_loss=0.5 * jnp.mean(jnp.square(values - batch.target)),
        entropy=jnp.mean(actions.entropy(logits)),
        approx_kl=jnp.mean(ratio - 1.0 - log_ratio),  # http://joschu.net/blog/kl-approx.html
        clip_fraction=jnp.mean(ratio != clipped),
    )
    loss = (
        parts.policy_loss
        + hyperparameters.value_coefficient * parts.value_loss
        - hyperparameters.entropy_coefficient * parts.entropy
    )
    return loss, parts
