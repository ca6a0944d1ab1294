"""One position per environment on one bar: opened, managed, and closed by its stop or its target.

Pure, for NumPy and JAX alike: each function takes its namespace from its arrays, so that a trial
loads one framework only. Arrays hold one environment or one element per environment. float32 stays
float32, because a Python number does not promote an array (NEP 50).

Money is relative: one contract is worth `Rules.notional` at its entry price, whatever that price
is, so the same rules trade an index future at 5000 and a currency at 1.1.
"""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

HOLD, BUY, SELL, BREAK_EVEN, TRAIL_ON, TRAIL_OFF = range(6)

AnyArray: TypeAlias = Any
"""An array of NumPy or JAX: whatever has `__array_namespace__()`."""


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
    manages_positions: whether the stop can be moved (Phases 2 and 3).
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

    @property
    def num_actions(self) -> int:
        """Hold, buy, sell; with managed positions also stop to break-even, trail on, trail off."""
        return 6 if self.manages_positions else 3


PHASE_1 = Rules()
PHASE_2 = Rules(manages_positions=True, risk_per_trade=250.0, max_drawdown=1_500.0)


class PriceBar(NamedTuple):
    """Prices of one bar, and the ATR known at its close."""

    open: AnyArray
    high: AnyArray
    low: AnyArray
    close: AnyArray
    atr: AnyArray


class Position(NamedTuple):
    """An open position, or none (`direction` 0; the other fields are then stale).

    direction: 1 long, -1 short, 0 none. size: contracts.
    entry, stop, target: prices. risk: the stop's first distance from the entry, a fraction of it.
    best: the close most in favour since the entry. trailing: 1 if the stop follows `best`.
    bars_held: bars since the entry.
    """

    direction: AnyArray
    size: AnyArray
    entry: AnyArray
    stop: AnyArray
    target: AnyArray
    risk: AnyArray
    best: AnyArray
    trailing: AnyArray
    bars_held: AnyArray


def no_position(like: AnyArray) -> Position:
    """Return the flat position, shaped as `like`. Prices are 1: nothing divides by zero."""
    xp = like.__array_namespace__()
    zero, one = xp.zeros_like(like), xp.ones_like(like)
    return Position(zero, zero, one, one, one, one, one, zero, zero)


def profit(position: Position, price: AnyArray, rules: Rules) -> AnyArray:
    """Return the money the position would make if closed at `price`, before costs; 0 when flat."""
    change = price / position.entry - 1.0
    return position.direction * position.size * rules.notional * change


def opened(
    position: Position, action: AnyArray, bar: PriceBar, atr: AnyArray, rules: Rules
) -> Position:
    """Carry out a buy or sell at the open of `bar`; `atr` is of the bar before, known by then.

    An action that the mask forbids changes nothing.
    """
    xp = bar.open.__array_namespace__()
    zero = xp.zeros_like(bar.open)
    direction = (action == BUY).astype(zero.dtype) - (action == SELL).astype(zero.dtype)
    entry = bar.open * (1.0 + direction * rules.slippage)
    risk = xp.minimum(rules.stop_atr * atr / entry, rules.max_stop_loss / rules.notional)
    if rules.risk_per_trade is None:
        size = xp.ones_like(risk)
    else:
        size = rules.risk_per_trade / (risk * rules.notional)
        size = xp.clip(size, rules.min_size, rules.max_size)
    new = Position(
        direction=direction,
        size=size,
        entry=entry,
        stop=entry * (1.0 - direction * risk),
        target=entry * (1.0 + direction * risk * rules.target_ratio),
        risk=risk,
        best=entry,
        trailing=zero,
        bars_held=zero,
    )
    return where((position.direction == 0) & (direction != 0), new, position)


def managed(position: Position, action: AnyArray) -> Position:
    """Carry out the actions on a position at a bar's close, then move the stop if it trails.

    A trailing stop stays one first risk behind the best close. No stop ever moves back.
    """
    xp = position.stop.__array_namespace__()
    trailing = xp.where(action == TRAIL_ON, 1.0, position.trailing)
    trailing = xp.where(action == TRAIL_OFF, 0.0, trailing)
    behind_best = position.best - position.direction * position.risk * position.entry
    stop = position.stop
    stop = xp.where(action == BREAK_EVEN, _nearer_to_profit(position, stop, position.entry), stop)
    stop = xp.where(trailing > 0, _nearer_to_profit(position, stop, behind_best), stop)
    return position._replace(stop=stop, trailing=trailing)


def exit_price(position: Position, bar: PriceBar, rules: Rules) -> tuple[AnyArray, AnyArray]:
    """Return whether the stop or the target ends the position within `bar`, and at what price.

    The order of prices within a bar is unknown, so the worst is assumed: the stop comes first. A
    bar that opens beyond the stop fills at its open. A target fills at its price, never better.
    """
    xp = bar.open.__array_namespace__()
    is_long = position.direction > 0
    worst = xp.where(is_long, bar.low, bar.high)
    best = xp.where(is_long, bar.high, bar.low)
    stopped = position.direction * (worst - position.stop) <= 0
    reached = position.direction * (best - position.target) >= 0
    at_stop = xp.where(
        is_long, xp.minimum(position.stop, bar.open), xp.maximum(position.stop, bar.open)
    )
    price = xp.where(stopped, market_exit(position, at_stop, rules), position.target)
    return (position.direction != 0) & (stopped | reached), price


def market_exit(position: Position, price: AnyArray, rules: Rules) -> AnyArray:
    """Return `price` after the slippage of a market order that closes the position."""
    return price * (1.0 - position.direction * rules.slippage)


def settled(
    position: Position, closes: AnyArray, price: AnyArray, rules: Rules
) -> tuple[Position, AnyArray]:
    """Close the position at `price` where `closes`; return it, and the money after commission."""
    xp = price.__array_namespace__()
    closes = closes & (position.direction != 0)
    money = profit(position, price, rules) - position.size * rules.commission
    direction = xp.where(closes, 0.0, position.direction)
    return position._replace(direction=direction), xp.where(closes, money, 0.0)


def aged(position: Position, bar: PriceBar) -> Position:
    """Return the position after the close of `bar`."""
    best = _nearer_to_profit(position, position.best, bar.close)
    return position._replace(best=best, bars_held=position.bars_held + 1.0)


def where(condition: AnyArray, new: Position, old: Position) -> Position:
    """Take `new` where the condition holds, else `old`."""
    xp = condition.__array_namespace__()
    return Position(*(xp.where(condition, a, b) for a, b in zip(new, old, strict=True)))


def _nearer_to_profit(position: Position, price: AnyArray, other: AnyArray) -> AnyArray:
    """Return the higher of two prices for a long position, the lower for a short one."""
    xp = price.__array_namespace__()
    return xp.where(position.direction > 0, xp.maximum(price, other), xp.minimum(price, other))
