"""The return on held-out episodes, against a loop that plays one episode after the other."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainables.jax_phase12 import evaluation, ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_phase12.statistics import init_moments
from trainables.market.features import build_market
from trainables.market.positions import PHASE_1, PHASE_2
from trainables.market.synthetic import synthetic_bars

NUM_EPISODES = 6
CONFIG = PpoConfig(num_envs=8, num_steps=16, batch_size=32)

init = jax.jit(lambda key, env: ppo.init_train_state(key, env, CONFIG, Hyperparameters()))
observations_of = jax.jit(
    lambda state: jax.vmap(lambda one: state.env.observe(state.env.view(one)))(state.env_states)
)
evaluate = jax.jit(functools.partial(evaluation.mean_return, num_episodes=NUM_EPISODES))
step = jax.jit(lambda env, env_state, action: env.step(jax.random.key(99), env_state, action))


def mean_return(state: ppo.TrainState) -> float:
    return float(evaluate(state))


@functools.cache
def decided(rules, seed: int = 0) -> ppo.TrainState:
    """A state as after some updates: a policy that prefers one action here and another there.

    Its last layer is a hundred times the first one, and its statistics are of some observations.
    """
    env = TradingEnv(market=build_market(synthetic_bars(seed=0, num_days=2)), rules=rules)
    state = init(jax.random.key(seed), env)
    policy = state.network.policy._replace(weight=100 * state.network.policy.weight)
    seen = observations_of(state)
    moments = state.moments._replace(
        count=jnp.float32(len(seen)), mean=seen.mean(axis=0), variance=seen.var(axis=0) + 1e-2
    )
    return state._replace(network=state.network._replace(policy=policy), moments=moments)


def of_one(state: ppo.TrainState, env_state) -> jax.Array:
    """Return the logits [num_actions] of one environment."""
    views = jax.tree.map(lambda leaf: leaf[None], state.env.view(env_state))
    return ppo.evaluate(state, state.network, views)[1][0]


logits_of = jax.jit(of_one)


def played(state: ppo.TrainState, key: jax.Array) -> tuple[float, int, set[int]]:
    """Play one episode; return its return, its length and the actions that it had."""
    env_state, total, done, num_steps, actions = state.env.reset(key), 0.0, False, 0, set()
    while not done:
        action = jnp.argmax(logits_of(state, env_state))
        env_state, reward, done = step(state.env, env_state, action)
        total, num_steps = total + float(reward), num_steps + 1
        actions.add(int(action))
    return total, num_steps, actions


@pytest.mark.parametrize("rules", [PHASE_1, PHASE_2])
def test_the_mean_is_that_of_the_episodes_played_one_by_one(rules) -> None:
    state = decided(rules)
    keys = jax.random.split(jax.random.key(0), NUM_EPISODES)
    returns, lengths, actions = zip(*(played(state, key) for key in keys), strict=True)
    assert len(set(lengths)) > 1, "episodes that end at different times, each of which counts once"
    assert len(set.union(*actions)) > 1, "a policy that does something"
    assert len(set(returns)) > 1
    assert mean_return(state) == pytest.approx(np.mean(returns), rel=1e-3, abs=1e-4)


def test_nothing_but_the_policy_makes_a_difference() -> None:
    state, other = decided(PHASE_1), decided(PHASE_1, seed=1)
    first = mean_return(state)
    assert mean_return(state) == first
    elsewhere = state._replace(
        key=other.key,
        env_states=other.env_states,
        returns=jax.tree.map(lambda leaf: leaf + 1, other.returns),
    )
    assert mean_return(elsewhere) == first
    assert mean_return(state._replace(network=other.network)) != first


def test_the_statistics_of_the_observations_are_a_part_of_the_policy() -> None:
    state = decided(PHASE_1)
    unseen = state._replace(moments=init_moments(*state.moments.mean.shape))
    assert mean_return(unseen) != mean_return(state)


def test_an_episode_that_begins_at_the_only_start_is_the_only_one() -> None:
    state = decided(PHASE_1)
    start = state.env.market.starts[-3:-2]
    market = state.env.market._replace(starts=start)
    state = state._replace(env=dataclasses.replace(state.env, market=market))
    total, num_steps, _ = played(state, jax.random.key(5))
    assert num_steps <= int(market.episode_end[int(start[0])]) - int(start[0])
    assert mean_return(state) == pytest.approx(total, rel=1e-3, abs=1e-4)
