"""The trading environment on hand-made bars: one contract is worth 1 per point at price 1000."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainables.jax_phase12.env import EnvState, TradingEnv, View
from trainables.market.features import NUM_FEATURES, Market, build_market
from trainables.market.positions import (
    BREAK_EVEN,
    BUY,
    HOLD,
    PHASE_1,
    PHASE_2,
    SELL,
    TRAIL_OFF,
    TRAIL_ON,
    Rules,
)
from trainables.market.sessions import WINDOW_BARS
from trainables.market.synthetic import SESSION_BARS, synthetic_bars

BARE = Rules(
    notional=1000.0,
    commission=0.0,
    slippage=0.0,
    max_drawdown=500.0,
    reward_unit=1.0,
    shaping=0.0,
    holding_cost=0.0,
)
MANAGED = dataclasses.replace(BARE, manages_positions=True)
ATR = 10.0  # so the stop is 15 points away and the target 45
QUIET = (1000, 1004, 996, 1000)
NUM_BARS = 8

jit_step = jax.jit(lambda env, key, state, action: env.step(key, state, action))


def make_env(bars, rules=BARE, end=NUM_BARS - 1) -> TradingEnv:
    """An environment whose bar 0 is quiet, followed by `bars`, filled up with quiet ones."""
    rows = [QUIET, *bars, *[QUIET] * NUM_BARS][:NUM_BARS]
    market = Market(
        features=np.zeros((NUM_BARS, NUM_FEATURES), np.float32),
        prices=np.array([(*row, ATR) for row in rows], np.float32),
        episode_end=np.full(NUM_BARS, end, np.int32),
        starts=np.zeros(1, np.int32),
    )
    return TradingEnv(market=market, rules=rules)


def first_state(env: TradingEnv) -> EnvState:
    return env.reset(jax.random.key(0))


def play(env: TradingEnv, actions):
    """Return the rewards up to the end of the episode, whether it ended, and the last state."""
    state, rewards = first_state(env), []
    for action in actions:
        state, reward, done = jit_step(env, jax.random.key(0), state, jnp.int32(action))
        rewards.append(float(reward))
        if done:
            return rewards, True, state
    return rewards, False, state


STOPS_AND_TARGETS = {
    "the stop": ((1000, 1010, 980, 1005), -15),
    "the target": ((1000, 1050, 990, 1005), 45),
    "both in one bar: the stop counts": ((1000, 1050, 980, 1040), -15),
    "touching the stop is enough": ((1000, 1010, 985, 1005), -15),
    "neither": ((1000, 1040, 986, 1005), 0),
}


@pytest.mark.parametrize(("bar", "profit"), STOPS_AND_TARGETS.values(), ids=list(STOPS_AND_TARGETS))
def test_stop_and_target_of_a_long_and_mirrored_of_a_short(bar, profit):
    rewards, done, state = play(make_env([bar]), [BUY])
    assert rewards == pytest.approx([profit], abs=1e-3)
    assert not done
    assert (state.account.position.direction == 0) == (profit != 0)
    assert state.account.balance == pytest.approx(profit, abs=1e-3)
    opened, high, low, close = (2000 - price for price in bar)
    rewards, *_ = play(make_env([(opened, low, high, close)]), [SELL])
    assert rewards == pytest.approx([profit], abs=1e-3)


@pytest.mark.parametrize(
    ("gap", "action", "profit"),
    [
        ((970, 980, 960, 975), BUY, -30),
        ((1030, 1040, 1020, 1025), SELL, -30),
        ((1100, 1110, 1090, 1100), BUY, 45),
        ((900, 910, 890, 900), SELL, 45),
    ],
)
def test_a_gap_through_the_stop_fills_at_the_open_and_through_the_target_at_the_target(
    gap, action, profit
):
    rewards, *_ = play(make_env([QUIET, gap]), [action, HOLD])
    assert rewards == pytest.approx([0, profit], abs=1e-3)


def test_an_order_fills_at_the_next_bars_open():
    env = make_env([(1010, 1014, 1006, 1010)])
    _, _, state = play(env, [BUY])
    assert state.account.position.entry == pytest.approx(1010)
    assert state.account.position.stop == pytest.approx(995)
    assert state.account.position.target == pytest.approx(1055)


def test_the_stop_uses_the_range_known_before_the_entry():
    env = make_env([QUIET])
    prices = env.market.prices.copy()
    prices[1, 4] = 99.0  # of the bar in which the order fills
    env = dataclasses.replace(env, market=env.market._replace(prices=prices))
    _, _, state = play(env, [BUY])
    assert state.account.position.stop == pytest.approx(1000 - 1.5 * ATR)


def test_a_step_knows_nothing_beyond_the_next_bar():
    def step(bars):
        env = make_env(bars)
        return jit_step(env, jax.random.key(0), first_state(env), jnp.int32(BUY))

    quiet, wild = step([QUIET, QUIET]), step([QUIET, (1, 9000, 1, 9000)])
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), quiet, wild))


@pytest.mark.parametrize(
    ("bars", "actions", "costs"),
    [
        ([QUIET, QUIET], [BUY], 2),
        ([QUIET, QUIET], [BUY, HOLD], 2),
        ([(1000, 1010, 980, 1005)], [BUY], 2 + 2 + 15),
    ],
)
def test_commission_is_paid_at_entry_and_at_exit(bars, actions, costs):
    rules = dataclasses.replace(BARE, commission=2.0)
    rewards, *_ = play(make_env(bars, rules), actions)
    assert sum(rewards) == pytest.approx(-costs, abs=1e-3)


def test_slippage_is_lost_on_entry_and_stop_but_not_on_the_target():
    rules = dataclasses.replace(BARE, slippage=1e-3)
    _, _, state = play(make_env([QUIET], rules), [BUY])
    assert state.account.position.entry == pytest.approx(1001)
    stop, target = 986.0, 1046.0
    stopped, *_ = play(make_env([(1000, 1010, 980, 1005)], rules), [BUY])
    assert stopped == pytest.approx([1000 * (stop * 0.999 / 1001 - 1)], abs=1e-2)
    reached, *_ = play(make_env([(1000, 1050, 990, 1005)], rules), [BUY])
    assert reached == pytest.approx([1000 * (target / 1001 - 1)], abs=1e-2)


def test_the_stop_is_capped_in_money():
    rules = dataclasses.replace(BARE, max_stop_loss=5.0)
    rewards, *_ = play(make_env([(1000, 1010, 980, 1005)], rules), [BUY])
    assert rewards == pytest.approx([-5], abs=1e-3)


@pytest.mark.parametrize(("max_size", "loss"), [(100.0, 250), (10.0, 150)])
def test_risk_sets_the_size_within_bounds(max_size, loss):
    rules = dataclasses.replace(BARE, risk_per_trade=250.0, max_size=max_size)
    rewards, *_ = play(make_env([(1000, 1010, 980, 1005)], rules), [BUY])
    assert rewards == pytest.approx([-loss], abs=0.02)


def test_an_episode_ends_with_its_session_and_closes_the_position():
    env = make_env([QUIET, (1000, 1012, 996, 1010)], end=2)
    rewards, done, state = play(env, [BUY, HOLD, HOLD])
    assert done
    assert rewards == pytest.approx([0, 10], abs=1e-3)
    assert (state.bar, state.account.balance, state.account.position.direction) == (0, 0, 0)


def test_an_episode_ends_with_the_data():
    rewards, done, _ = play(make_env([]), [HOLD] * 2 * NUM_BARS)
    assert done
    assert len(rewards) == NUM_BARS - 1


def test_an_episode_ends_when_equity_falls_too_far_below_its_peak():
    rules = dataclasses.replace(BARE, max_drawdown=20.0)
    up, down = (1000, 1014, 996, 1012), (1012, 1012, 988, 991)
    rewards, done, _ = play(make_env([up, down], rules), [BUY, HOLD])
    assert done
    assert rewards == pytest.approx([0, -9], abs=1e-3)  # 9 below the start, 21 below the peak
    rewards, done, _ = play(make_env([QUIET, down], rules), [BUY, HOLD])
    assert not done


def test_holding_terms_are_small_and_even_out():
    rules = dataclasses.replace(BARE, shaping=0.05, holding_cost=0.01)
    env = make_env([(1000, 1012, 996, 1010), (1010, 1012, 980, 1000)], rules)
    rewards, *_ = play(env, [BUY, HOLD])
    assert rewards == pytest.approx([0.05 * 10 - 0.01, -15 - 0.05 * 10], abs=1e-3)


UP = (1000, 1022, 996, 1020)
MANAGEMENT = {
    "break-even": ([UP, (1020, 1021, 990, 1000)], [BUY, BREAK_EVEN], 0),
    "no break-even": ([UP, (1020, 1021, 990, 1000)], [BUY, HOLD], 0),
    "trailing": ([UP, (1020, 1021, 1003, 1010)], [BUY, TRAIL_ON], 5),
    "the trail does not use the bar's own high": (
        [UP, (1020, 1040, 1003, 1010)],
        [BUY, TRAIL_ON],
        5,
    ),
    "the trail follows closes": (
        [UP, (1020, 1031, 1010, 1030), (1030, 1031, 1000, 1000)],
        [BUY, TRAIL_ON, HOLD],
        15,
    ),
    "the trail never goes back": (
        [UP, (1020, 1021, 1006, 1008), (1008, 1010, 1000, 1000)],
        [BUY, TRAIL_ON, HOLD],
        5,
    ),
    "nor behind break-even": (
        [(1000, 1012, 996, 1010), (1010, 1012, 1005, 1010), (1010, 1011, 997, 999)],
        [BUY, BREAK_EVEN, TRAIL_ON],
        0,
    ),
    "trail off leaves the stop": (
        [UP, (1020, 1031, 1010, 1030), (1030, 1031, 1000, 1000)],
        [BUY, TRAIL_ON, TRAIL_OFF],
        5,
    ),
    "short": ([(1000, 1004, 978, 980), (980, 997, 979, 990)], [SELL, TRAIL_ON], 5),
}


@pytest.mark.parametrize(("bars", "actions", "profit"), MANAGEMENT.values(), ids=list(MANAGEMENT))
def test_management_of_a_position(bars, actions, profit):
    rewards, _, state = play(make_env(bars, MANAGED), actions)
    assert sum(rewards) == pytest.approx(profit, abs=1e-3)
    assert (state.account.position.direction != 0) == (actions[-1] == HOLD and profit == 0)


@pytest.mark.parametrize(
    ("rules", "bars", "actions", "allowed"),
    [
        (BARE, [], [HOLD], {HOLD, BUY, SELL}),
        (BARE, [], [BUY], {HOLD}),
        (MANAGED, [], [HOLD], {HOLD, BUY, SELL}),
        (MANAGED, [UP], [BUY], {HOLD, BREAK_EVEN, TRAIL_ON}),
        (MANAGED, [(1000, 1004, 990, 992)], [BUY], {HOLD, TRAIL_ON}),
        (MANAGED, [(1000, 1004, 990, 992)], [SELL], {HOLD, BREAK_EVEN, TRAIL_ON}),
        (MANAGED, [UP, (1020, 1022, 1010, 1020)], [BUY, BREAK_EVEN], {HOLD, TRAIL_ON}),
        (MANAGED, [QUIET, QUIET], [BUY, TRAIL_ON], {HOLD, TRAIL_OFF}),
    ],
)
def test_masks_allow_what_makes_sense(rules, bars, actions, allowed):
    env = make_env(bars, rules)
    _, _, state = play(env, actions)
    mask = env.action_mask(env.view(state))
    assert mask.shape == (env.num_actions,)
    assert set(np.flatnonzero(mask).tolist()) == allowed


def test_a_forbidden_entry_changes_nothing():
    _, _, state = play(make_env([UP]), [BUY, SELL])
    assert (state.account.position.direction, state.account.position.bars_held) == (1, 2)


@pytest.mark.parametrize(("rules", "size"), [(PHASE_1, 225), (PHASE_2, 228)])
def test_an_observation_is_the_window_and_the_account(rules, size):
    env = TradingEnv(market=build_market(synthetic_bars(seed=0, num_days=2)), rules=rules)
    state = env.reset(jax.random.key(1))
    observation = env.observe(env.view(state))
    assert observation.shape == (size,)
    window = env.market.features[state.bar - WINDOW_BARS + 1 : state.bar + 1]
    np.testing.assert_array_equal(observation[: window.size], window.reshape(-1))
    np.testing.assert_array_equal(observation[window.size :], 0)


def test_an_observation_knows_nothing_beyond_its_bar():
    market = build_market(synthetic_bars(seed=0, num_days=2))
    future = market.features.copy()
    future[301:] = 9
    view = View(bar=jnp.int32(300), account=jnp.zeros(5))
    seen, changed = (
        TradingEnv(market=market._replace(features=features), rules=PHASE_1).observe(view)
        for features in (market.features, future)
    )
    np.testing.assert_array_equal(seen, changed)


def test_the_account_is_seen_in_units_of_risk():
    env = make_env([UP, (1020, 1035, 1010, 1030)], MANAGED)
    _, _, state = play(env, [BUY, TRAIL_ON])
    account = env.view(state).account
    expected = [1, 30 / 15, 25 / 15, 0.02, 0, 1, 5 / 15, 0.1]
    np.testing.assert_allclose(account, expected, atol=1e-4)


def test_a_reset_lands_on_bars_where_an_episode_may_start():
    market = build_market(synthetic_bars(seed=0, num_days=3))
    env = TradingEnv(market=market, rules=PHASE_1)
    assert str(jax.make_jaxpr(env.reset)(jax.random.key(0))).count("random_bits[") == 1
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2000))
    assert set(states.bar.tolist()) <= set(market.starts.tolist())
    assert (states.end % SESSION_BARS == SESSION_BARS - 1).all()
    assert len(set(states.bar.tolist())) > 500
    places = np.searchsorted(market.starts, states.bar) / len(market.starts)
    share = np.histogram(places, bins=4, range=(0.0, 1.0))[0] / len(places)
    np.testing.assert_allclose(share, 0.25, atol=0.04)  # four standard deviations
    assert (states.account.position.direction == 0).all()
