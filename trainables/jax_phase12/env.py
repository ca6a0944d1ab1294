"""The trading environment of Phases 1 and 2: pure functions of one environment, to be vmapped.

The rules are `trainables.market.account`'s. A new episode starts at a random bar; it ends at the
session's last bar, or the data's, at the latest.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from trainables.market.account import Account, allowed_actions, new_account, observed, trade
from trainables.market.features import NUM_FEATURES, Market
from trainables.market.positions import PriceBar, Rules
from trainables.market.sessions import WINDOW_BARS


class EnvState(NamedTuple):
    """One environment. bar: the last bar seen; end: the episode's last bar."""

    bar: jax.Array
    end: jax.Array
    account: Account


class View(NamedTuple):
    """The source of an observation. A rollout stores this, 20 times smaller, in its place.

    bar: the last bar of the window. account: [5] floats, [8] in Phase 2, see `account.observed`.
    """

    bar: jax.Array
    account: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TradingEnv:
    """A market and the rules of trading it; a pytree whose leaves are the market's arrays."""

    market: Market
    rules: Rules = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Number of actions: 3 in Phase 1, 6 in Phase 2, see `Rules.num_actions`."""
        return self.rules.num_actions

    def reset(self, key: jax.Array) -> EnvState:
        """Start an episode at a random bar of `market.starts`."""
        starts = jnp.asarray(self.market.starts)
        # jax.random.randint draws three times, which is three times as much to compile, to be even;
        # the remainder of 32 bits favours no bar by more than a millionth.
        bar = starts[jax.random.bits(key) % len(starts)]
        end = jnp.asarray(self.market.episode_end)[bar]
        return EnvState(bar, end, new_account(jnp.float32(0.0)))

    def view(self, state: EnvState) -> View:
        """Return the bar, and what is seen of the account at its close."""
        close = self._bar(state.bar).close
        return View(bar=state.bar, account=observed(state.account, close, self.rules))

    def observe(self, view: View) -> jax.Array:
        """[WINDOW_BARS * NUM_FEATURES + 5 or 8] the window of market features, and the account."""
        features = jnp.asarray(self.market.features)
        bar = view.bar - WINDOW_BARS + 1
        start = (bar, jnp.zeros_like(bar))  # one dtype, also where JAX_ENABLE_X64 makes 0 an int64
        window = jax.lax.dynamic_slice(features, start, (WINDOW_BARS, NUM_FEATURES))
        return jnp.concatenate([window.reshape(-1), view.account])

    def action_mask(self, view: View) -> jax.Array:
        """[num_actions] True where the action is allowed, see `account.allowed_actions`."""
        return allowed_actions(view.account, self.rules)

    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array
    ) -> tuple[EnvState, jax.Array, jax.Array]:
        """Advance by one bar; return the state (reset if the episode ended), reward and done."""
        before, bar = self._bar(state.bar), self._bar(state.bar + 1)
        is_last = state.bar + 1 >= state.end
        account, reward, done = trade(state.account, action, before, bar, is_last, self.rules)
        ongoing = EnvState(state.bar + 1, state.end, account)
        next_state = jax.tree.map(
            lambda reset, going: jnp.where(done, reset, going), self.reset(key), ongoing
        )
        return next_state, reward, done

    def _bar(self, index: jax.Array) -> PriceBar:
        row = jnp.asarray(self.market.prices)[index]
        return PriceBar(*(row[column] for column in range(5)))
