"""One position on one bar: opened, managed, and closed by its stop or its target. Pure, no clock.

Money is relative: one contract is worth `Rules.notional` at its entry price, whatever that price
is, so the same rules trade an index future at 5000 and a currency at 1.1.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

HOLD, BUY, SELL, BREAK_EVEN, TRAIL_ON, TRAIL_OFF = range(6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Costs, risk and limits. Money is in the account's currency; the defaults suit a 50,000 one.

    notional: worth of one contract at entry.
    commission: money per contract and side. slippage: fraction of the price lost on each market
        order (entry, stop, forced exit; a target is a limit order and fills at its price).
    stop_atr, max_stop_loss: the stop's distance in ATRs, and the most it may lose per contract.
    target_ratio: the target's distance in stop distances.
    risk_per_trade: money lost at the stop, which sets the size; None trades one contract.
    min_size, max_size: bounds of that size in contracts; micro contracts make fractions tradable.
    max_drawdown: money below the highest equity so far at which the episode ends.
    manages_positions: whether the stop can be moved (Phase 2).
    reward_unit: money worth a reward of 1. shaping: share of the change in open profit that is
        paid at once. holding_cost: reward lost per bar in a position.
    """

    notional: float = 100_000.0
    commission: float = 2.5
    slippage: float = 2e-5
    stop_atr: float = 1.5
    max_stop_loss: float = 1_000.0
    target_ratio: float = 3.0
    risk_per_trade: float | None = None
    min_size: float = 0.1
    max_size: float = 10.0
    max_drawdown: float = 2_500.0
    manages_positions: bool = False
    reward_unit: float = 100.0
    shaping: float = 0.05
    holding_cost: float = 1e-4


PHASE_1 = Rules()
PHASE_2 = Rules(manages_positions=True, risk_per_trade=250.0, max_drawdown=1_500.0)


class Bar(NamedTuple):
    """Prices of one bar, and the ATR known at its close."""

    open: jax.Array
    high: jax.Array
    low: jax.Array
    close: jax.Array
    atr: jax.Array


class Position(NamedTuple):
    """An open position, or none (`direction` 0; the other fields are then stale).

    direction: 1 long, -1 short, 0 none. size: contracts.
    entry, stop, target: prices. risk: the stop's first distance from the entry, a fraction of it.
    best: the close most in favour since the entry. trailing: 1 if the stop follows `best`.
    bars_held: bars since the entry.
    """

    direction: jax.Array
    size: jax.Array
    entry: jax.Array
    stop: jax.Array
    target: jax.Array
    risk: jax.Array
    best: jax.Array
    trailing: jax.Array
    bars_held: jax.Array


def no_position() -> Position:
    """Flat. Prices are 1, so that nothing divides by zero."""
    zero, one = jnp.float32(0.0), jnp.float32(1.0)
    return Position(zero, zero, one, one, one, one, one, zero, zero)


def profit(position: Position, price: jax.Array, rules: Rules) -> jax.Array:
    """Money the position would make if closed at `price`, before costs; 0 when flat."""
    change = price / position.entry - 1.0
    return position.direction * position.size * rules.notional * change


def opened(
    position: Position, action: jax.Array, bar: Bar, atr: jax.Array, rules: Rules
) -> Position:
    """Carry out a buy or sell at the open of `bar`; `atr` is of the bar before, known by then.

    An action that the mask forbids changes nothing.
    """
    direction = (action == BUY) * 1.0 - (action == SELL) * 1.0
    entry = bar.open * (1.0 + direction * rules.slippage)
    risk = jnp.minimum(rules.stop_atr * atr / entry, rules.max_stop_loss / rules.notional)
    if rules.risk_per_trade is None:
        size = jnp.ones_like(risk)
    else:
        size = rules.risk_per_trade / (risk * rules.notional)
        size = jnp.clip(size, rules.min_size, rules.max_size)
    new = Position(
        direction=direction,
        size=size,
        entry=entry,
        stop=entry * (1.0 - direction * risk),
        target=entry * (1.0 + direction * risk * rules.target_ratio),
        risk=risk,
        best=entry,
        trailing=jnp.zeros_like(risk),
        bars_held=jnp.zeros_like(risk),
    )
    return _where((position.direction == 0) & (direction != 0), new, position)


def managed(position: Position, action: jax.Array) -> Position:
    """Carry out Phase 2's actions at a bar's close, then move the stop if it trails.

    A trailing stop stays one first risk behind the best close. No stop ever moves back.
    """
    trailing = jnp.where(action == TRAIL_ON, 1.0, position.trailing)
    trailing = jnp.where(action == TRAIL_OFF, 0.0, trailing)
    behind_best = position.best - position.direction * position.risk * position.entry
    stop = position.stop
    stop = jnp.where(action == BREAK_EVEN, _tighter(position, stop, position.entry), stop)
    stop = jnp.where(trailing > 0, _tighter(position, stop, behind_best), stop)
    return position._replace(stop=stop, trailing=trailing)


def exit_price(position: Position, bar: Bar, rules: Rules) -> tuple[jax.Array, jax.Array]:
    """Return whether the stop or the target ends the position within `bar`, and at what price.

    The order of prices within a bar is unknown, so the worst is assumed: the stop comes first. A
    bar that opens beyond the stop fills at its open. A target fills at its price, never better.
    """
    is_long = position.direction > 0
    worst = jnp.where(is_long, bar.low, bar.high)
    best = jnp.where(is_long, bar.high, bar.low)
    stopped = position.direction * (worst - position.stop) <= 0
    reached = position.direction * (best - position.target) >= 0
    at_stop = jnp.where(
        is_long, jnp.minimum(position.stop, bar.open), jnp.maximum(position.stop, bar.open)
    )
    price = jnp.where(stopped, market_exit(position, at_stop, rules), position.target)
    return (position.direction != 0) & (stopped | reached), price


def market_exit(position: Position, price: jax.Array, rules: Rules) -> jax.Array:
    """`price` after the slippage of a market order that closes the position."""
    return price * (1.0 - position.direction * rules.slippage)


def settled(
    position: Position, closes: jax.Array, price: jax.Array, rules: Rules
) -> tuple[Position, jax.Array]:
    """Close the position at `price` if `closes`; return it, and the money after commission."""
    closes = closes & (position.direction != 0)
    money = profit(position, price, rules) - position.size * rules.commission
    direction = jnp.where(closes, 0.0, position.direction)
    return position._replace(direction=direction), jnp.where(closes, money, 0.0)


def aged(position: Position, bar: Bar) -> Position:
    """The position after the close of `bar`."""
    is_long = position.direction > 0
    best = jnp.where(
        is_long, jnp.maximum(position.best, bar.close), jnp.minimum(position.best, bar.close)
    )
    return position._replace(best=best, bars_held=position.bars_held + 1.0)


def _tighter(position: Position, stop: jax.Array, other: jax.Array) -> jax.Array:
    """Of two stops, the one nearer to profit."""
    return jnp.where(position.direction > 0, jnp.maximum(stop, other), jnp.minimum(stop, other))


def _where(condition: jax.Array, new: Position, old: Position) -> Position:
    return Position(*(jnp.where(condition, a, b) for a, b in zip(new, old, strict=True)))
