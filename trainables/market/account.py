"""An account that trades bar by bar: its reward, its observation and its allowed actions. Pure.

At the close of bar t the agent sees bars up to t and acts. The order fills at the open of bar t + 1
(no look-ahead). That bar may hit the stop or the target; its close is the next step. An episode
ends when equity falls too far below its peak, or at its last bar. An open position is then closed
at the market. For NumPy and JAX alike, as `positions`.
"""

from typing import NamedTuple

from trainables.market import positions
from trainables.market.positions import AnyArray, Position, PriceBar, Rules

MAX_BARS_HELD = 100.0  # scales the observation only


class Account(NamedTuple):
    """The money and the position of an episode.

    balance: realised profit in money. peak: the highest equity at a close.
    """

    balance: AnyArray
    peak: AnyArray
    position: Position


def new_account(like: AnyArray) -> Account:
    """Return an account at the start of an episode, shaped as `like`."""
    zero = like.__array_namespace__().zeros_like(like)
    return Account(balance=zero, peak=zero, position=positions.no_position(like))


def trade(
    account: Account,
    action: AnyArray,
    before: PriceBar,
    bar: PriceBar,
    is_last: AnyArray,
    rules: Rules,
) -> tuple[Account, AnyArray, AnyArray]:
    """Act at the close of `before` and go through `bar`; return the account, reward and done.

    is_last: whether the episode ends with `bar` in any case.
    """
    xp = account.balance.__array_namespace__()
    open_before = positions.profit(account.position, before.close, rules)

    position = positions.managed(account.position, action)
    position = positions.opened(position, action, bar, before.atr, rules)
    entered = (account.position.direction == 0) & (position.direction != 0)
    entry_costs = xp.where(entered, position.size * rules.commission, 0.0)

    hit, price = positions.exit_price(position, bar, rules)
    position, money = positions.settled(position, hit, price, rules)
    position = positions.aged(position, bar)
    realised = money - entry_costs

    equity = account.balance + realised + positions.profit(position, bar.close, rules)
    peak = xp.maximum(account.peak, equity)
    done = is_last | (peak - equity >= rules.max_drawdown)
    at_market = positions.market_exit(position, bar.close, rules)
    position, money = positions.settled(position, done, at_market, rules)
    realised = realised + money

    open_after = positions.profit(position, bar.close, rules)
    reward = (realised + rules.shaping * (open_after - open_before)) / rules.reward_unit
    reward = reward - rules.holding_cost * xp.abs(position.direction)
    return Account(account.balance + realised, peak, position), reward, done


def observed(account: Account, close: AnyArray, rules: Rules) -> AnyArray:
    """[..., 5] direction, open profit, distance to the stop, bars held, drawdown.

    Profit and distance are in units of the position's first risk. With managed positions [..., 8]:
    also whether the stop trails, how far it has come, and the size.
    """
    position = account.position
    xp = close.__array_namespace__()
    in_position = xp.abs(position.direction)
    per_risk = position.direction / position.risk
    equity = account.balance + positions.profit(position, close, rules)
    columns = [
        position.direction,
        per_risk * (close / position.entry - 1.0),
        per_risk * (close - position.stop) / position.entry,
        in_position * position.bars_held / MAX_BARS_HELD,
        (account.peak - equity) / rules.max_drawdown,
    ]
    if rules.manages_positions:
        columns += [
            in_position * position.trailing,
            per_risk * (position.stop / position.entry - 1.0),
            in_position * position.size / rules.max_size,
        ]
    return xp.stack(columns, axis=-1)


def allowed_actions(seen: AnyArray, rules: Rules) -> AnyArray:
    """[..., num_actions] True where an action is allowed, given what `observed` returned (`seen`).

    Entries when flat; management in a position. The stop may go to break-even while the position
    is in profit and its stop is not there yet.
    """
    xp = seen.__array_namespace__()
    flat = seen[..., 0] == 0
    columns = [xp.ones_like(flat), flat, flat]
    if rules.manages_positions:
        in_profit, trailing, stop_moved = seen[..., 1], seen[..., 5], seen[..., 6]
        columns += [
            ~flat & (in_profit > 0) & (stop_moved < 0),
            ~flat & (trailing == 0),
            ~flat & (trailing > 0),
        ]
    return xp.stack(columns, axis=-1)


def where(condition: AnyArray, new: Account, old: Account) -> Account:
    """Take `new` where the condition holds, else `old`."""
    xp = condition.__array_namespace__()
    return Account(
        balance=xp.where(condition, new.balance, old.balance),
        peak=xp.where(condition, new.peak, old.peak),
        position=positions.where(condition, new.position, old.position),
    )
