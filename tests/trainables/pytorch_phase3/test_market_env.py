"""The NumPy market is Phase 2's market: step by step the same as the JAX environment."""

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("gymnasium", reason="Phase 3's environment needs gymnasium (extra torch)")

from trainables.market.features import Market, build_market
from trainables.market.positions import (
    BREAK_EVEN,
    BUY,
    HOLD,
    SELL,
    TRAIL_OFF,
    TRAIL_ON,
)
from trainables.market.synthetic import synthetic_bars
from trainables.pytorch_phase3.market_env import NUM_ACTIONS, OBSERVATION_SIZE, MarketEnv

NUM_ENVS = 16


@pytest.fixture(scope="module")
def market() -> Market:
    return build_market(synthetic_bars(seed=3, num_days=20))


@pytest.fixture
def env(market: Market) -> MarketEnv:
    return MarketEnv(market, NUM_ENVS, seed=1)


def allowed_actions(env: MarketEnv, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One allowed action per environment; something is done nine times of ten."""
    preference = rng.random((env.num_envs, NUM_ACTIONS))
    preference[:, HOLD] = 0.1
    return np.asarray(np.where(env.action_masks(), preference, -1.0).argmax(axis=1))


def test_every_step_agrees_with_the_jax_environment(env: MarketEnv) -> None:
    jax = pytest.importorskip("jax", reason="compares with the JAX environment")
    from trainables.jax_phase12.env import EnvState, TradingEnv
    from trainables.market.positions import PHASE_2, Position

    reference = TradingEnv(market=env.market, rules=PHASE_2)
    step = jax.jit(jax.vmap(reference.step))
    view = jax.jit(jax.vmap(reference.view))
    observe, mask = jax.jit(jax.vmap(reference.observe)), jax.jit(jax.vmap(reference.action_mask))
    keys = jax.random.split(jax.random.key(0), NUM_ENVS)
    rng = np.random.default_rng(0)
    taken = np.zeros(NUM_ACTIONS, int)
    num_done, num_closed = 0, 0
    for _ in range(600):
        state = EnvState(
            env.bar.astype(np.int32),
            env.end.astype(np.int32),
            env.account,
        )
        seen = view(state)
        np.testing.assert_allclose(env.observe(), observe(seen), rtol=2e-4, atol=2e-4)
        # A stop at exactly the entry reads as 0 or a rounding error of it.
        moved = np.abs(env.account_seen()[:, 6]) > 1e-6
        np.testing.assert_array_equal(env.action_masks()[moved], np.asarray(mask(seen))[moved])
        actions = allowed_actions(env, rng)
        taken += np.bincount(actions, minlength=NUM_ACTIONS)
        was_open = env.account.position.direction != 0
        after, rewards, dones = step(keys, state, actions)
        ours = env.step(actions)
        np.testing.assert_array_equal(ours.dones, dones)
        np.testing.assert_allclose(ours.rewards, rewards, rtol=1e-3, atol=2e-3)
        going = ~ours.dones
        got, wanted = env.account, after.account
        np.testing.assert_allclose(got.balance[going], wanted.balance[going], rtol=1e-3, atol=0.2)
        np.testing.assert_allclose(got.peak[going], wanted.peak[going], rtol=1e-3, atol=0.2)
        for name in Position._fields:
            mine, theirs = getattr(got.position, name), getattr(wanted.position, name)
            np.testing.assert_allclose(mine[going], theirs[going], rtol=1e-5, err_msg=name)
        num_done += int(ours.dones.sum())
        num_closed += int((was_open & going & (env.account.position.direction == 0)).sum())
    assert all(taken[action] > 50 for action in (BUY, SELL, BREAK_EVEN, TRAIL_ON, TRAIL_OFF)), taken
    assert num_done > 20
    assert num_closed > 100


def test_an_observation_is_phase_1s_225_floats_and_3_of_the_managed_position(
    env: MarketEnv,
) -> None:
    assert OBSERVATION_SIZE == 225 + 3
    observation = env.observe()
    assert observation.shape == (NUM_ENVS, OBSERVATION_SIZE)
    assert observation.dtype == np.float32
    assert env.observation_space.shape == (OBSERVATION_SIZE,)


def test_a_flat_account_may_only_enter_and_a_position_only_be_managed(env: MarketEnv) -> None:
    assert env.action_masks().tolist() == [[True, True, True, False, False, False]] * NUM_ENVS
    env.step(np.full(NUM_ENVS, BUY))
    held = env.account.position.direction != 0
    masks = env.action_masks()[held]
    assert masks[:, HOLD].all()
    assert not masks[:, [BUY, SELL, TRAIL_OFF]].any()
    assert masks[:, TRAIL_ON].all()


def test_an_action_that_the_mask_forbids_changes_nothing(env: MarketEnv) -> None:
    for action in (BREAK_EVEN, TRAIL_OFF):
        env.step(np.full(NUM_ENVS, action))
    assert not env.account.position.direction.any()
    assert not env.account.balance.any()


def test_the_same_seed_trades_the_same_episodes(market: Market) -> None:
    first, second = (MarketEnv(market, 8, seed=5) for _ in range(2))
    rng = np.random.default_rng(0)
    for _ in range(50):
        actions = allowed_actions(first, rng)
        np.testing.assert_array_equal(first.step(actions).rewards, second.step(actions).rewards)
    np.testing.assert_array_equal(first.bar, second.bar)


def test_an_episode_that_ends_starts_anew_without_a_position(env: MarketEnv) -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        step = env.step(allowed_actions(env, rng))
        assert not env.account.position.direction[step.dones].any()
        assert not env.account.balance[step.dones].any()
        assert (env.bar < env.end).all()
