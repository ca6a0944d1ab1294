"""The trading environment of Phases 1 and 2: pure functions of one environment, to be vmapped.

At the close of bar t the agent sees bars up to t and acts. The order fills at the open of bar t + 1
(no look-ahead), then that bar may hit the stop or the target, then its close is the next step. An
episode ends when equity falls too far below its peak, at the session's last bar, or at the data's;
an open position is then closed at the market. A new episode starts at a random bar.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from trainables.market import positions
from trainables.market.features import NUM_FEATURES, Market
from trainables.market.positions import Bar, Position, Rules
from trainables.market.sessions import WINDOW_BARS

MAX_BARS_HELD = 100.0  # scales the observation only


class EnvState(NamedTuple):
    """One environment.

    bar: the last bar seen; end: the episode's last bar.
    balance: realised profit of the episode in money; peak: its highest equity at a close.
    """

    bar: jax.Array
    end: jax.Array
    balance: jax.Array
    peak: jax.Array
    position: Position


class View(NamedTuple):
    """What an observation is made from. A rollout stores this, 20 times smaller, in its place.

    bar: the last bar of the window. account: [5] floats, [8] in Phase 2.
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
        """Hold, buy, sell; in Phase 2 also stop to break-even, trail on, trail off."""
        return 6 if self.rules.manages_positions else 3

    def reset(self, key: jax.Array) -> EnvState:
        """Start an episode at a random bar of `market.starts`."""
        starts = jnp.asarray(self.market.starts)
        bar = starts[jax.random.randint(key, (), 0, len(starts))]
        end = jnp.asarray(self.market.episode_end)[bar]
        zero = jnp.float32(0.0)
        return EnvState(bar, end, balance=zero, peak=zero, position=positions.no_position())

    def view(self, state: EnvState) -> View:
        """Account features: direction, open profit, distance to the stop, bars held, drawdown.

        Profit and distance are in units of the position's first risk. Phase 2 adds whether the stop
        trails, how far it has come, and the size.
        """
        position, rules = state.position, self.rules
        in_position = jnp.abs(position.direction)
        close = self._bar(state.bar).close
        per_risk = position.direction / position.risk
        account = [
            position.direction,
            per_risk * (close / position.entry - 1.0),
            per_risk * (close - position.stop) / position.entry,
            in_position * position.bars_held / MAX_BARS_HELD,
            (state.peak - self._equity(state, close)) / rules.max_drawdown,
        ]
        if rules.manages_positions:
            account += [
                in_position * position.trailing,
                per_risk * (position.stop / position.entry - 1.0),
                in_position * position.size / rules.max_size,
            ]
        return View(bar=state.bar, account=jnp.stack(account))

    def observe(self, view: View) -> jax.Array:
        """[WINDOW_BARS * NUM_FEATURES + 5 or 8] the window of market features, and the account."""
        features = jnp.asarray(self.market.features)
        start = (view.bar - WINDOW_BARS + 1, 0)
        window = jax.lax.dynamic_slice(features, start, (WINDOW_BARS, NUM_FEATURES))
        return jnp.concatenate([window.reshape(-1), view.account])

    def action_mask(self, view: View) -> jax.Array:
        """[num_actions] what is allowed: entries when flat; management in a position.

        The stop may go to break-even while the position is in profit and its stop is not there yet.
        """
        flat = view.account[0] == 0
        mask = [jnp.array(True), flat, flat]
        if self.rules.manages_positions:
            in_profit, trailing, stop_moved = view.account[1], view.account[5], view.account[6]
            mask += [
                ~flat & (in_profit > 0) & (stop_moved < 0),
                ~flat & (trailing == 0),
                ~flat & (trailing > 0),
            ]
        return jnp.stack(mask)

    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array
    ) -> tuple[EnvState, jax.Array, jax.Array]:
        """Advance by one bar; return the state (reset if the episode ended), reward and done."""
        rules = self.rules
        before, bar = self._bar(state.bar), self._bar(state.bar + 1)
        open_before = positions.profit(state.position, before.close, rules)

        position = positions.managed(state.position, action)
        position = positions.opened(position, action, bar, before.atr, rules)
        entered = (state.position.direction == 0) & (position.direction != 0)
        realised = -jnp.where(entered, position.size * rules.commission, 0.0)

        hit, price = positions.exit_price(position, bar, rules)
        position, money = positions.settled(position, hit, price, rules)
        position = positions.aged(position, bar)
        realised += money

        equity = state.balance + realised + positions.profit(position, bar.close, rules)
        peak = jnp.maximum(state.peak, equity)
        done = (state.bar + 1 >= state.end) | (peak - equity >= rules.max_drawdown)
        at_market = positions.market_exit(position, bar.close, rules)
        position, money = positions.settled(position, done, at_market, rules)
        realised += money

        open_after = positions.profit(position, bar.close, rules)
        reward = (realised + rules.shaping * (open_after - open_before)) / rules.reward_unit
        reward -= rules.holding_cost * jnp.abs(position.direction)
        ongoing = EnvState(state.bar + 1, state.end, state.balance + realised, peak, position)
        next_state = jax.tree.map(
            lambda reset, going: jnp.where(done, reset, going), self.reset(key), ongoing
        )
        return next_state, reward, done

    def _bar(self, index: jax.Array) -> Bar:
        row = jnp.asarray(self.market.prices)[index]
        return Bar(*(row[column] for column in range(5)))

    def _equity(self, state: EnvState, close: jax.Array) -> jax.Array:
        return state.balance + positions.profit(state.position, close, self.rules)
