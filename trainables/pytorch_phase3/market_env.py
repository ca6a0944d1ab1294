"""Phase 2's market as a vectorised environment: arrays over environments, one process, NumPy.

At the close of bar t the agent sees bars up to t and acts; the order fills at the open of bar
t + 1, which may hit the stop or the target. The rules are Phase 2's (trainables/jax_phase12/env.py)
and a test holds the two together. An observation is Phase 1's 225 floats (a window of 20 bars of
11 features, and 5 of the account), then the 3 that Phase 2 adds about the managed position.
"""

import dataclasses

import gymnasium
import numpy as np
import numpy.typing as npt

from trainables.market.features import NUM_FEATURES, Market
from trainables.market.sessions import WINDOW_BARS
from trainables.pytorch_phase3 import positions as trades
from trainables.pytorch_phase3.positions import Array, Bars, Flags, Rules

MARKET_SIZE = WINDOW_BARS * NUM_FEATURES
ACCOUNT_SIZE = 8
"""Direction, open profit, distance to the stop, bars held, drawdown; trails, stop moved, size."""
OBSERVATION_SIZE = MARKET_SIZE + ACCOUNT_SIZE

_MAX_BARS_HELD = 100.0  # scales the observation only

Actions = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """[num_envs] each: what one step brought. `returns` are of the episodes that are `done`."""

    rewards: Array
    dones: Flags
    returns: Array


class MarketEnv:
    """`num_envs` accounts that trade one market. Episodes that end start anew at once.

    bar, end: [num_envs] the last bar seen, and the episode's last.
    balance, peak: [num_envs] realised profit in money, and the highest equity at a close.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float32)
    action_space = gymnasium.spaces.Discrete(trades.NUM_ACTIONS)

    def __init__(
        self,
        market: Market,
        num_envs: int,
        *,
        seed: int | np.random.SeedSequence,
        rules: Rules | None = None,
    ):
        self.num_envs = num_envs
        self.rules = rules or Rules()
        self.market = market
        self._rng = np.random.default_rng(seed)
        self._window = np.arange(1 - WINDOW_BARS, 1)
        self.reset()

    def reset(self) -> None:
        """Start every episode anew at a random bar."""
        self.bar, self.end = self._new_episodes()
        self.balance = np.zeros(self.num_envs, np.float32)
        self.peak = np.zeros(self.num_envs, np.float32)
        self.positions = trades.no_positions(self.num_envs)
        self._returns = np.zeros(self.num_envs, np.float32)

    def observe(self) -> Array:
        """[num_envs, OBSERVATION_SIZE] window of market features, then the account."""
        window = self.market.features[self.bar[:, None] + self._window]
        return np.concatenate([window.reshape(self.num_envs, -1), self.account()], axis=1)

    def account(self) -> Array:
        """[num_envs, ACCOUNT_SIZE] profit and distances are in units of the first risk."""
        held, rules = self.positions, self.rules
        in_position = np.abs(held.direction)
        close = self._bars(self.bar).close
        per_risk = held.direction / held.risk
        equity = self.balance + trades.profit(held, close, rules)
        columns = (
            held.direction,
            per_risk * (close / held.entry - 1),
            per_risk * (close - held.stop) / held.entry,
            in_position * held.bars_held / _MAX_BARS_HELD,
            (self.peak - equity) / rules.max_drawdown,
            in_position * held.trailing,
            per_risk * (held.stop / held.entry - 1),
            in_position * held.size / rules.max_size,
        )
        return np.stack(columns, axis=1).astype(np.float32, copy=False)

    def situation(self) -> tuple[Array, Array]:
        """[num_envs, NUM_FEATURES] the bar just closed; [num_envs] the position's direction."""
        return self.market.features[self.bar], self.positions.direction

    def action_masks(self) -> Flags:
        """[num_envs, NUM_ACTIONS] what is allowed: entries when flat; management in a position.

        The stop may go to break-even while the position is in profit and its stop is not there yet.
        """
        account = self.account()
        flat, in_profit = account[:, 0] == 0, account[:, 1] > 0
        trailing, not_moved = account[:, 5] > 0, account[:, 6] < 0
        always = np.ones(self.num_envs, bool)
        columns = (
            always,
            flat,
            flat,
            ~flat & in_profit & not_moved,
            ~flat & ~trailing,
            ~flat & trailing,
        )
        return np.stack(columns, axis=1)

    def step(self, actions: Actions) -> Step:
        """Advance every account by one bar. `actions`: [num_envs] below NUM_ACTIONS."""
        rules = self.rules
        before, bars = self._bars(self.bar), self._bars(self.bar + 1)
        open_before = trades.profit(self.positions, before.close, rules)

        held = trades.managed(self.positions, actions)
        held = trades.opened(held, actions, bars, before.atr, rules)
        entered = (self.positions.direction == 0) & (held.direction != 0)
        realised = np.where(entered, -held.size * np.float32(rules.commission), np.float32(0.0))

        hit, price = trades.exit_prices(held, bars, rules)
        held, money = trades.settled(held, hit, price, rules)
        held = trades.aged(held, bars)
        realised += money

        equity = self.balance + realised + trades.profit(held, bars.close, rules)
        peak = np.maximum(self.peak, equity)
        dones = (self.bar + 1 >= self.end) | (peak - equity >= rules.max_drawdown)
        at_market = trades.market_exit(held, bars.close, rules)
        held, money = trades.settled(held, dones, at_market, rules)
        realised += money

        open_after = trades.profit(held, bars.close, rules)
        rewards = (realised + rules.shaping * (open_after - open_before)) / rules.reward_unit
        rewards = rewards - rules.holding_cost * np.abs(held.direction)
        rewards = rewards.astype(np.float32, copy=False)
        self.bar = self.bar + 1
        self.balance = self.balance + realised
        self.peak, self.positions = peak, held
        self._returns += rewards
        step = Step(rewards=rewards, dones=dones, returns=self._returns.copy())
        if dones.any():
            self._restart(dones)
        return step

    def _restart(self, dones: Flags) -> None:
        bar, end = self._new_episodes()
        self.bar, self.end = np.where(dones, bar, self.bar), np.where(dones, end, self.end)
        self.balance[dones] = 0.0
        self.peak[dones] = 0.0
        self._returns[dones] = 0.0
        self.positions = trades.where(dones, trades.no_positions(self.num_envs), self.positions)

    def _new_episodes(self) -> tuple[Indices, Indices]:
        starts = self.market.starts
        bar = starts[self._rng.integers(0, len(starts), self.num_envs)].astype(np.int64)
        return bar, self.market.episode_end[bar].astype(np.int64)

    def _bars(self, index: Indices) -> Bars:
        return Bars(*self.market.prices[index].T)
