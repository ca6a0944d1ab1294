"""Phase 2's positions as NumPy arrays over environments: opened, managed, closed. Pure.

The rules are those of `trainables.jax_phase12.positions` (which see for the reasons); that module
is JAX, and a trial that trains in PyTorch must not load a second framework with its own threads.
tests/test_phase3_env.py holds the two together, step by step.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

HOLD, BUY, SELL, BREAK_EVEN, TRAIL_ON, TRAIL_OFF = range(6)
NUM_ACTIONS = 6

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Costs, risk and limits; see `trainables.jax_phase12.positions.Rules`. Money is a 50,000's.

    The defaults are Phase 2's.
    """

    notional: float = 100_000.0
    commission: float = 2.5
    slippage: float = 2e-5
    stop_atr: float = 1.5
    max_stop_loss: float = 1_000.0
    target_ratio: float = 3.0
    risk_per_trade: float = 250.0
    min_size: float = 0.1
    max_size: float = 10.0
    max_drawdown: float = 1_500.0
    reward_unit: float = 100.0
    shaping: float = 0.05
    holding_cost: float = 1e-4


class Bars(NamedTuple):
    """[num_envs] prices of each environment's bar, and the ATR known at its close."""

    open: Array
    high: Array
    low: Array
    close: Array
    atr: Array


class Positions(NamedTuple):
    """[num_envs] each: an open position, or none (`direction` 0; the other fields are then stale).

    direction: 1 long, -1 short, 0 none. size: contracts.
    entry, stop, target: prices. risk: the stop's first distance from the entry, a fraction of it.
    best: the close most in favour since the entry. trailing: 1 if the stop follows `best`.
    bars_held: bars since the entry.
    """

    direction: Array
    size: Array
    entry: Array
    stop: Array
    target: Array
    risk: Array
    best: Array
    trailing: Array
    bars_held: Array


def no_positions(num_envs: int) -> Positions:
    """Flat everywhere. Prices are 1, so that nothing divides by zero."""
    zero, one = np.zeros(num_envs, np.float32), np.ones(num_envs, np.float32)
    return Positions(zero, zero, one, one, one, one, one, zero, zero)


def profit(positions: Positions, price: Array, rules: Rules) -> Array:
    """Money each position would make if closed at `price`, before costs; 0 when flat."""
    change = price / positions.entry - np.float32(1.0)
    return positions.direction * positions.size * np.float32(rules.notional) * change


def opened(
    positions: Positions, actions: npt.NDArray[np.int64], bars: Bars, atr: Array, rules: Rules
) -> Positions:
    """Carry out buys and sells at the open of `bars`; `atr` is of the bar before, known by then.

    An action that the mask forbids changes nothing.
    """
    direction = (actions == BUY).astype(np.float32) - (actions == SELL).astype(np.float32)
    entry = bars.open * (1 + direction * np.float32(rules.slippage))
    most = np.float32(rules.max_stop_loss / rules.notional)
    risk = np.minimum(np.float32(rules.stop_atr) * atr / entry, most)
    size = np.float32(rules.risk_per_trade) / (risk * np.float32(rules.notional))
    zero = np.zeros_like(risk)
    new = Positions(
        direction=direction,
        size=np.clip(size, np.float32(rules.min_size), np.float32(rules.max_size)),
        entry=entry,
        stop=entry * (1 - direction * risk),
        target=entry * (1 + direction * risk * np.float32(rules.target_ratio)),
        risk=risk,
        best=entry,
        trailing=zero,
        bars_held=zero,
    )
    return where((positions.direction == 0) & (direction != 0), new, positions)


def managed(positions: Positions, actions: npt.NDArray[np.int64]) -> Positions:
    """Carry out Phase 2's actions at a bar's close, then move the stops that trail.

    A trailing stop stays one first risk behind the best close. No stop ever moves back.
    """
    trailing = np.where(actions == TRAIL_ON, np.float32(1.0), positions.trailing)
    trailing = np.where(actions == TRAIL_OFF, np.float32(0.0), trailing)
    behind_best = positions.best - positions.direction * positions.risk * positions.entry
    stop = positions.stop
    stop = np.where(actions == BREAK_EVEN, _tighter(positions, stop, positions.entry), stop)
    stop = np.where(trailing > 0, _tighter(positions, stop, behind_best), stop)
    return positions._replace(stop=stop, trailing=trailing)


def exit_prices(positions: Positions, bars: Bars, rules: Rules) -> tuple[Flags, Array]:
    """Return whether the stop or the target ends each position within its bar, and at what price.

    The worst is assumed: the stop comes before the target, and a bar that opens beyond the stop
    fills at its open.
    """
    is_long = positions.direction > 0
    worst = np.where(is_long, bars.low, bars.high)
    best = np.where(is_long, bars.high, bars.low)
    stopped = positions.direction * (worst - positions.stop) <= 0
    reached = positions.direction * (best - positions.target) >= 0
    at_stop = np.where(
        is_long, np.minimum(positions.stop, bars.open), np.maximum(positions.stop, bars.open)
    )
    price = np.where(stopped, market_exit(positions, at_stop, rules), positions.target)
    return (positions.direction != 0) & (stopped | reached), price


def market_exit(positions: Positions, price: Array, rules: Rules) -> Array:
    """`price` after the slippage of a market order that closes the position."""
    return price * (1 - positions.direction * np.float32(rules.slippage))


def settled(
    positions: Positions, closes: Flags, price: Array, rules: Rules
) -> tuple[Positions, Array]:
    """Close those that `closes` at `price`; return them, and the money after commission."""
    closes = closes & (positions.direction != 0)
    money = profit(positions, price, rules) - positions.size * np.float32(rules.commission)
    zero = np.float32(0.0)
    direction = np.where(closes, zero, positions.direction)
    return positions._replace(direction=direction), np.where(closes, money, zero)


def aged(positions: Positions, bars: Bars) -> Positions:
    """The positions after the close of their bars."""
    best = np.where(
        positions.direction > 0,
        np.maximum(positions.best, bars.close),
        np.minimum(positions.best, bars.close),
    )
    return positions._replace(best=best, bars_held=positions.bars_held + 1)


def where(condition: Flags, new: Positions, old: Positions) -> Positions:
    """Take `new` where the condition holds, else `old`."""
    return Positions(*(np.where(condition, a, b) for a, b in zip(new, old, strict=True)))


def _tighter(positions: Positions, stop: Array, other: Array) -> Array:
    """Of two stops, the one nearer to profit."""
    return np.where(positions.direction > 0, np.maximum(stop, other), np.minimum(stop, other))
