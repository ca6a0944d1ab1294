"""An account in NumPy and in JAX: one contract is worth 1 per point at price 1000."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from trainables.market import account as accounts
from trainables.market.account import Account
from trainables.market.positions import (
    BREAK_EVEN,
    BUY,
    HOLD,
    SELL,
    TRAIL_OFF,
    TRAIL_ON,
    PriceBar,
    Rules,
)

RULES = Rules(
    notional=1000.0,
    commission=2.0,
    slippage=0.0,
    max_drawdown=10.0,
    reward_unit=10.0,
    shaping=0.5,
    holding_cost=0.25,
)
QUIET = (1000, 1004, 996, 1000)
ATR = 10


@pytest.fixture(params=["numpy", "jax.numpy"])
def xp(request: pytest.FixtureRequest) -> Any:
    """The namespace: each test is run in both."""
    return pytest.importorskip(request.param)


def bar(xp: Any, prices: tuple[float, ...]) -> PriceBar:
    """A bar of open, high, low and close."""
    return PriceBar(*(xp.asarray([value], xp.float32) for value in (*prices, ATR)))


def traded(
    xp: Any, actions: list[int], bars: list[tuple[float, ...]], *, ends: bool = False
) -> tuple[Account, list[float], bool]:
    """Act before each bar; return the account, the rewards, and whether the last step was done."""
    account, before = accounts.new_account(xp.zeros(1, xp.float32)), bar(xp, QUIET)
    rewards, done = [], xp.asarray([False])
    for number, (action, prices) in enumerate(zip(actions, bars, strict=True), start=1):
        this, is_last = bar(xp, prices), xp.asarray([ends and number == len(bars)])
        account, reward, done = accounts.trade(
            account, xp.asarray([action]), before, this, is_last, RULES
        )
        assert reward.dtype == account.balance.dtype == account.peak.dtype == xp.float32
        rewards.append(float(reward[0]))
        before = this
    return account, rewards, bool(done[0])


UP, DOWN = (1000, 1008, 996, 1006), (1006, 1008, 990, 993)
EPISODES: dict[str, tuple[list[int], list[tuple[float, ...]], bool, list[float], float, bool]] = {
    # actions, bars, whether the last bar ends the episode; rewards, balance, done
    "nothing": ([HOLD], [UP], False, [0.0], 0.0, False),
    "an entry pays commission, open profit counts in part": (
        [BUY],
        [UP],
        False,
        [(-2 + 0.5 * 6) / 10 - 0.25],
        -2.0,
        False,
    ),
    "a stop": ([BUY], [(1000, 1004, 980, 990)], False, [(-2 - 15 - 2) / 10], -19.0, True),
    "the last bar closes at the market": ([BUY], [UP], True, [(-2 + 6 - 2) / 10], 2.0, True),
    "a drawdown from the peak, not from the start": (
        [BUY, HOLD],
        [UP, DOWN],
        False,
        [(-2 + 0.5 * 6) / 10 - 0.25, (-7 - 2 - 0.5 * 6) / 10],
        -11.0,
        True,
    ),
}


@pytest.mark.parametrize(
    ("actions", "bars", "ends", "rewards", "balance", "done"), EPISODES.values(), ids=list(EPISODES)
)
def test_rewards_balance_and_end_of_an_episode(
    xp: Any,
    actions: list[int],
    bars: list[tuple[float, ...]],
    ends: bool,
    rewards: list[float],
    balance: float,
    done: bool,
) -> None:
    account, got, was_done = traded(xp, actions, bars, ends=ends)
    assert got == pytest.approx(rewards, abs=1e-4)
    assert float(account.balance[0]) == pytest.approx(balance, abs=1e-3)
    assert was_done == done


@pytest.mark.parametrize(
    ("actions", "bars", "manages", "allowed"),
    [
        ([HOLD], [UP], False, {HOLD, BUY, SELL}),
        ([BUY], [UP], False, {HOLD}),
        ([HOLD], [UP], True, {HOLD, BUY, SELL}),
        ([BUY], [UP], True, {HOLD, BREAK_EVEN, TRAIL_ON}),
        ([SELL], [UP], True, {HOLD, TRAIL_ON}),
        ([BUY, TRAIL_ON], [QUIET, QUIET], True, {HOLD, TRAIL_OFF}),
    ],
)
def test_masks_follow_from_what_is_observed(
    xp: Any, actions: list[int], bars: list[tuple[float, ...]], manages: bool, allowed: set[int]
) -> None:
    account, _, _ = traded(xp, actions, bars)
    rules = dataclasses.replace(RULES, manages_positions=manages)
    seen = accounts.observed(account, bar(xp, bars[-1]).close, rules)
    mask = accounts.allowed_actions(seen, rules)
    assert seen.shape == (1, 8 if manages else 5)
    assert seen.dtype == xp.float32
    assert set(np.flatnonzero(mask[0]).tolist()) == allowed


def test_an_account_starts_anew_where_its_episode_ended(xp: Any) -> None:
    old, _, _ = traded(xp, [BUY], [UP])
    new = accounts.new_account(xp.zeros(1, xp.float32))
    for ended, expected in ((True, new), (False, old)):
        got = accounts.where(xp.asarray([ended]), new, old)
        assert (got.balance, got.peak) == (expected.balance, expected.peak)
        assert got.position == expected.position
