"""PPO in the shape that PureJaxRL made standard, to compare ours with.

Written from the algorithm: transitions that store observations, GAE as a reversed unrolled scan, a
random permutation of all samples per epoch, minibatches by reshaping the shuffled copy, optax. The
network, the environments and the hyperparameters are ours, so that only the loop differs. It has no
observation normalisation and measures no noise scale, so it does a little less work.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.environment import JaxEnvironment
from trainables.jax_phase12.network import apply_network, init_network


class RunnerState(NamedTuple):
    """The state that one update hands to the next."""

    env: Any
    network: Any
    opt_state: Any
    env_states: Any
    observations: jax.Array
    masks: jax.Array
    key: jax.Array


class Transition(NamedTuple):
    """A rollout; leaves are [num_steps, num_envs, ...]."""

    done: jax.Array
    action: jax.Array
    value: jax.Array
    reward: jax.Array
    log_prob: jax.Array
    observation: jax.Array
    mask: jax.Array


def init_runner_state(
    key: jax.Array,
    env: JaxEnvironment,
    config: PpoConfig,
    hyperparameters: Hyperparameters,
    init: Callable[[jax.Array, int, int], Any] = init_network,
) -> RunnerState:
    """Reset the environments and draw a network; `init` is given a key, inputs and actions."""
    key, reset_key, network_key = jax.random.split(key, 3)
    env_states = jax.vmap(env.reset)(jax.random.split(reset_key, config.num_envs))
    observations, masks = _observe(env, env_states)
    network = init(network_key, observations.shape[1], env.num_actions)
    opt_state = _optimizer(hyperparameters).init(network)
    return RunnerState(env, network, opt_state, env_states, observations, masks, key)


def make_reference_update(
    config: PpoConfig,
    hyperparameters: Hyperparameters,
    apply: Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]] = apply_network,
) -> Callable[[RunnerState], tuple[RunnerState, dict[str, jax.Array]]]:
    """Return `update(state) -> (state, metrics)`; `apply` is the network, as `apply_network` is."""
    optimizer = _optimizer(hyperparameters)
    hp = hyperparameters

    def env_step(state: RunnerState, _: None) -> tuple[RunnerState, Transition]:
        key, action_key, step_key = jax.random.split(state.key, 3)
        logits, value = apply(state.network, state.observations, state.masks)
        action = jax.random.categorical(action_key, logits)
        log_prob = _log_prob(logits, action)
        step_keys = jax.random.split(step_key, config.num_envs)
        env_states, reward, done = jax.vmap(state.env.step)(step_keys, state.env_states, action)
        transition = Transition(
            done, action, value, reward, log_prob, state.observations, state.masks
        )
        observations, masks = _observe(state.env, env_states)
        state = state._replace(
            env_states=env_states, observations=observations, masks=masks, key=key
        )
        return state, transition

    def advantages_of(trajectory: Transition, last_value: jax.Array) -> jax.Array:
        def step(carry: Any, transition: Transition) -> tuple[Any, jax.Array]:
            advantage, next_value = carry
            alive = 1.0 - transition.done
            delta = transition.reward + hp.discount * next_value * alive - transition.value
            advantage = delta + hp.discount * hp.gae_lambda * alive * advantage
            return (advantage, transition.value), advantage

        carry = (jnp.zeros_like(last_value), last_value)
        _, advantages = jax.lax.scan(step, carry, trajectory, reverse=True, unroll=16)
        return advantages

    def loss(network: Any, batch: Any) -> tuple[jax.Array, Any]:
        transition, advantage, target = batch
        logits, value = apply(network, transition.observation, transition.mask)
        clipped_value = transition.value + jnp.clip(
            value - transition.value, -hp.clip_ratio, hp.clip_ratio
        )
        errors = jnp.maximum(jnp.square(value - target), jnp.square(clipped_value - target))
        value_loss = 0.5 * errors.mean()
        ratio = jnp.exp(_log_prob(logits, transition.action) - transition.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped_ratio = jnp.clip(ratio, 1.0 - hp.clip_ratio, 1.0 + hp.clip_ratio)
        policy_loss = -jnp.minimum(ratio * advantage, clipped_ratio * advantage).mean()
        log_probs = jax.nn.log_softmax(logits)
        entropy = -(jnp.exp(log_probs) * log_probs).sum(axis=-1).mean()
        total = policy_loss + hp.value_coefficient * value_loss - hp.entropy_coefficient * entropy
        return total, (value_loss, policy_loss, entropy)

    def minibatch(carry: Any, batch: Any) -> tuple[Any, Any]:
        network, opt_state = carry
        (total, parts), gradient = jax.value_and_grad(loss, has_aux=True)(network, batch)
        updates, opt_state = optimizer.update(gradient, opt_state, network)
        return (optax.apply_updates(network, updates), opt_state), (total, parts)

    def update(state: RunnerState) -> tuple[RunnerState, dict[str, jax.Array]]:
        state, trajectory = jax.lax.scan(env_step, state, None, length=config.num_steps)
        _, last_value = apply(state.network, state.observations, state.masks)
        advantages = advantages_of(trajectory, last_value)
        batch = (trajectory, advantages, advantages + trajectory.value)
        batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch)

        def epoch(carry: Any, key: jax.Array) -> tuple[Any, Any]:
            permutation = jax.random.permutation(key, config.num_samples)
            shuffled = jax.tree.map(lambda leaf: jnp.take(leaf, permutation, axis=0), batch)
            shape = (config.num_minibatches, config.batch_size)
            minibatches = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), shuffled)
            carry, losses = jax.lax.scan(minibatch, carry, minibatches)
            return carry, losses

        key, epochs_key = jax.random.split(state.key)
        keys = jax.random.split(epochs_key, config.num_epochs)
        carry = (state.network, state.opt_state)
        (network, opt_state), (total, _) = jax.lax.scan(epoch, carry, keys)
        metrics = {"loss": total.mean(), "mean_reward": trajectory.reward.mean()}
        return state._replace(network=network, opt_state=opt_state, key=key), metrics

    return update


def _optimizer(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(hyperparameters.max_gradient_norm),
        optax.adam(hyperparameters.learning_rate, eps=1e-5),
    )


def _observe(env: JaxEnvironment, env_states: Any) -> tuple[jax.Array, jax.Array]:
    views = jax.vmap(env.view)(env_states)
    return jax.vmap(env.observe)(views), jax.vmap(env.action_mask)(views)


def _log_prob(logits: jax.Array, action: jax.Array) -> jax.Array:
    log_probs = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]
