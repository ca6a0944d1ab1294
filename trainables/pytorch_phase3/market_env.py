"""Phase 2's market as a vectorised environment: arrays over environments, one process, NumPy.

The rules are `trainables.market.account`'s, as in trainables/jax_phase12/env.py; a test holds the
two environments together. An observation is Phase 1's 225 floats (a window of 20 bars of 11
features, and 5 of the account), then the 3 that Phase 2 adds about the managed position.
"""

import dataclasses

import gymnasium
import numpy as np

from trainables.market import account as accounts
from trainables.market.features import NUM_FEATURES, Market
from trainables.market.positions import PHASE_2, PriceBar
from trainables.market.sessions import WINDOW_BARS
from trainables.pytorch_phase3.arrays import Flags, Floats, Integers

MARKET_SIZE = WINDOW_BARS * NUM_FEATURES
ACCOUNT_SIZE = 8
"""Size of the account's features, see `account.observed`."""
OBSERVATION_SIZE = MARKET_SIZE + ACCOUNT_SIZE
NUM_ACTIONS = PHASE_2.num_actions


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Results of one step, [num_envs] each. `returns` are of each episode so far."""

    rewards: Floats
    dones: Flags
    returns: Floats


class MarketEnv:
    """`num_envs` accounts that trade one market. Episodes that end start anew at once.

    bar, end: [num_envs] the last bar seen, and the episode's last.
    account: money and positions, [num_envs] each.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float32)
    action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    def __init__(self, market: Market, num_envs: int, *, seed: int | np.random.SeedSequence):
        self.num_envs = num_envs
        self.market = market
        self._rng = np.random.default_rng(seed)
        self._window = np.arange(1 - WINDOW_BARS, 1)
        self.reset()

    def reset(self) -> None:
        """Start every episode anew at a random bar."""
        self.bar, self.end = self._new_episodes()
        self._returns = np.zeros(self.num_envs, np.float32)
        self.account = accounts.new_account(self._returns)

    def observe(self) -> Floats:
        """[num_envs, OBSERVATION_SIZE] window of market features, then the account."""
        window = self.market.features[self.bar[:, None] + self._window]
        return np.concatenate([window.reshape(self.num_envs, -1), self.account_seen()], axis=1)

    def account_seen(self) -> Floats:
        """[num_envs, ACCOUNT_SIZE] the account's features, see `account.observed`."""
        seen: Floats = accounts.observed(self.account, self._bars(self.bar).close, PHASE_2)
        return seen

    def situation(self) -> tuple[Floats, Floats]:
        """[num_envs, NUM_FEATURES] the bar just closed; [num_envs] the position's direction."""
        return self.market.features[self.bar], self.account.position.direction

    def action_masks(self) -> Flags:
        """[num_envs, NUM_ACTIONS] True where allowed, see `account.allowed_actions`."""
        allowed: Flags = accounts.allowed_actions(self.account_seen(), PHASE_2)
        return allowed

    def step(self, actions: Integers) -> Step:
        """Advance every account by one bar. `actions`: [num_envs] below NUM_ACTIONS."""
        before, bars = self._bars(self.bar), self._bars(self.bar + 1)
        is_last = self.bar + 1 >= self.end
        self.account, rewards, dones = accounts.trade(
            self.account, actions, before, bars, is_last, PHASE_2
        )
        self.bar = self.bar + 1
        self._returns += rewards
        step = Step(rewards=rewards, dones=dones, returns=self._returns.copy())
        if dones.any():
            self._restart(dones)
        return step

    def _restart(self, dones: Flags) -> None:
        bar, end = self._new_episodes()
        self.bar, self.end = np.where(dones, bar, self.bar), np.where(dones, end, self.end)
        self._returns[dones] = 0.0
        self.account = accounts.where(dones, accounts.new_account(self._returns), self.account)

    def _new_episodes(self) -> tuple[Integers, Integers]:
        starts = self.market.starts
        bar = starts[self._rng.integers(0, len(starts), self.num_envs)].astype(np.int64)
        return bar, self.market.episode_end[bar].astype(np.int64)

    def _bars(self, index: Integers) -> PriceBar:
        return PriceBar(*self.market.prices[index].T)
