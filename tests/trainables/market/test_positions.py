"""Positions in NumPy and in JAX: one contract is worth 1 per point at price 1000."""

import dataclasses
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from trainables.market import positions
from trainables.market.positions import (
    BREAK_EVEN,
    BUY,
    HOLD,
    PHASE_1,
    PHASE_2,
    SELL,
    TRAIL_OFF,
    TRAIL_ON,
    Position,
    PriceBar,
    Rules,
)

BARE = Rules(notional=1000.0, commission=0.0, slippage=0.0)
QUIET = (1000, 1004, 996, 1000)
ATR = 10  # so the stop is 15 points away and the target 45
LONG = {
    "direction": 1,
    "size": 1,
    "entry": 1000,
    "stop": 985,
    "target": 1045,
    "risk": 0.015,
    "best": 1000,
    "trailing": 0,
    "bars_held": 0,
}


@pytest.fixture(params=["numpy", "jax.numpy"])
def xp(request: pytest.FixtureRequest) -> Any:
    """The namespace: each test is run in both."""
    return pytest.importorskip(request.param)


def mirrored(price: float) -> float:
    """The price as far on the other side of 1000."""
    return 2000 - price


def position(xp: ModuleType, short: bool = False, **changes: float) -> Position:
    """`LONG` with changes, as arrays of one element; mirrored if `short`."""
    fields = LONG | changes
    if short:
        prices = {name: mirrored(fields[name]) for name in ("entry", "stop", "target", "best")}
        fields |= prices | {"direction": -fields["direction"]}
    return Position(**{name: xp.asarray([value], xp.float32) for name, value in fields.items()})


def bar(xp: ModuleType, prices: tuple[float, ...], short: bool = False) -> PriceBar:
    """A bar of open, high, low and close; mirrored if `short`."""
    if short:
        opening, high, low, close = map(mirrored, prices)
        prices = (opening, low, high, close)
    return PriceBar(*(xp.asarray([value], xp.float32) for value in (*prices, ATR)))


def action(xp: ModuleType, number: int) -> Any:
    return xp.asarray([number])


def float32s(xp: ModuleType, got: Any) -> list[float]:
    """The elements, after a check that the array is the namespace's own and of float32."""
    assert got.__array_namespace__() is xp
    assert got.dtype == xp.float32
    return [float(value) for value in got]


OPENED: dict[str, tuple[int, int, dict[str, float]]] = {
    "a buy when flat": (0, BUY, LONG),
    "a sell when flat": (
        0,
        SELL,
        LONG | {"direction": -1, "stop": 1015, "target": 955},
    ),
    "nothing when flat": (0, HOLD, {"direction": 0, "entry": 1, "size": 0}),
    "an action of a position when flat": (0, TRAIL_ON, {"direction": 0, "trailing": 0}),
    "a buy in a long position": (1, BUY, {"direction": 1, "entry": 500}),
    "a sell in a long position": (1, SELL, {"direction": 1, "entry": 500}),
    "a buy in a short position": (-1, BUY, {"direction": -1, "entry": 500}),
}


@pytest.mark.parametrize(("held", "order", "expected"), OPENED.values(), ids=list(OPENED))
def test_a_position_opens_when_there_is_none(
    xp: Any, held: int, order: int, expected: dict[str, float]
) -> None:
    before = positions.no_position(xp.zeros(1, xp.float32))
    if held:
        before = position(xp, direction=held, entry=500)
    this = bar(xp, QUIET)
    after = positions.opened(before, action(xp, order), this, this.atr, BARE)
    for name, value in expected.items():
        assert float32s(xp, getattr(after, name)) == pytest.approx([value], rel=1e-5), name


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"slippage": 1e-3}, "entry", 1001),
        ({"stop_atr": 3.0}, "stop", 970),
        ({"max_stop_loss": 5.0}, "stop", 995),
        ({"max_stop_loss": 5.0}, "target", 1015),
        ({"target_ratio": 1.0}, "target", 1015),
        ({"risk_per_trade": 30.0}, "size", 2),
        ({"risk_per_trade": 3000.0}, "size", 10),
        ({"risk_per_trade": 0.015}, "size", 0.1),
    ],
)
def test_the_rules_set_entry_stop_target_and_size(
    xp: Any, changes: dict[str, float], field: str, expected: float
) -> None:
    rules = dataclasses.replace(BARE, **changes)  # type: ignore[arg-type]
    flat, this = positions.no_position(xp.zeros(1, xp.float32)), bar(xp, QUIET)
    after = positions.opened(flat, action(xp, BUY), this, this.atr, rules)
    assert float32s(xp, getattr(after, field)) == pytest.approx([expected], rel=1e-5)


MANAGED: dict[str, tuple[dict[str, float], int, float, float]] = {
    # changes of LONG, the action, then the stop and whether it trails
    "hold": ({"best": 1020}, HOLD, 985, 0),
    "break-even": ({}, BREAK_EVEN, 1000, 0),
    "break-even behind a stop that is nearer": ({"stop": 1005}, BREAK_EVEN, 1005, 0),
    "trail on": ({"best": 1020}, TRAIL_ON, 1005, 1),
    "a trail goes on": ({"best": 1020, "trailing": 1}, HOLD, 1005, 1),
    "a trail never goes back": ({"best": 1020, "stop": 1010, "trailing": 1}, HOLD, 1010, 1),
    "trail off": ({"best": 1020, "trailing": 1}, TRAIL_OFF, 985, 0),
}


@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(
    ("changes", "order", "stop", "trailing"), MANAGED.values(), ids=list(MANAGED)
)
def test_a_stop_is_moved_towards_profit_only(
    xp: Any, changes: dict[str, float], order: int, stop: float, trailing: float, short: bool
) -> None:
    after = positions.managed(position(xp, short, **changes), action(xp, order))
    expected = mirrored(stop) if short else stop
    assert float32s(xp, after.stop) == pytest.approx([expected], rel=1e-6)
    assert float32s(xp, after.trailing) == [trailing]


EXITS: dict[str, tuple[tuple[float, ...], float | None]] = {
    "neither": ((1000, 1044, 986, 1000), None),
    "the stop": ((1000, 1010, 980, 1005), 985),
    "the stop is touched": ((1000, 1010, 985, 1005), 985),
    "the target": ((1000, 1050, 990, 1005), 1045),
    "the target is touched": ((1000, 1045, 990, 1005), 1045),
    "both: the stop counts": ((1000, 1050, 980, 1040), 985),
    "a gap beyond the stop": ((970, 975, 960, 972), 970),
    "a gap beyond the target": ((1100, 1110, 1090, 1100), 1045),
}


@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("prices", "price"), EXITS.values(), ids=list(EXITS))
def test_a_stop_or_a_target_ends_a_position(
    xp: Any, prices: tuple[float, ...], price: float | None, short: bool
) -> None:
    ends, got = positions.exit_price(position(xp, short), bar(xp, prices, short), BARE)
    assert ends.tolist() == [price is not None]
    if price is not None:
        expected = mirrored(price) if short else price
        assert float32s(xp, got) == pytest.approx([expected], rel=1e-6)


def test_without_a_position_nothing_ends(xp: Any) -> None:
    flat = position(xp, direction=0)
    ends, _ = positions.exit_price(flat, bar(xp, (1000, 1050, 980, 1000)), BARE)
    assert ends.tolist() == [False]


@pytest.mark.parametrize(
    ("prices", "short", "price"),
    [
        ((1000, 1010, 980, 1005), False, 985 * 0.999),
        ((1000, 1010, 980, 1005), True, 1015 * 1.001),
        ((1000, 1050, 990, 1005), False, 1045),  # a limit order slips nothing
    ],
)
def test_slippage_is_lost_on_the_stop_but_not_on_the_target(
    xp: Any, prices: tuple[float, ...], short: bool, price: float
) -> None:
    rules = dataclasses.replace(BARE, slippage=1e-3)
    _, got = positions.exit_price(position(xp, short), bar(xp, prices, short), rules)
    assert float32s(xp, got) == pytest.approx([price], rel=1e-6)


@pytest.mark.parametrize(("direction", "price"), [(1, 1009), (-1, 1011), (0, 1010)])
def test_a_market_exit_slips_against_the_position(xp: Any, direction: int, price: float) -> None:
    rules = dataclasses.replace(BARE, slippage=1 / 1010)
    held = position(xp, direction=direction)
    got = positions.market_exit(held, xp.asarray([1010.0], xp.float32), rules)
    assert float32s(xp, got) == pytest.approx([price], rel=1e-6)


@pytest.mark.parametrize(
    ("direction", "closes", "left", "money"),
    [(1, True, 0, 2 * 10 - 6), (-1, True, 0, -2 * 10 - 6), (1, False, 1, 0), (0, True, 0, 0)],
)
def test_settling_pays_profit_less_commission_once(
    xp: Any, direction: int, closes: bool, left: int, money: float
) -> None:
    rules = dataclasses.replace(BARE, commission=3.0)
    held = position(xp, direction=direction, size=2)
    price = xp.asarray([1010.0], xp.float32)
    after, got = positions.settled(held, xp.asarray([closes]), price, rules)
    assert float32s(xp, after.direction) == [left]
    assert float32s(xp, got) == pytest.approx([money], abs=1e-3)


@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("close", "best"), [(1008, 1008), (990, 1000)])
def test_a_bar_ages_the_position_and_keeps_its_best_close(
    xp: Any, close: float, best: float, short: bool
) -> None:
    this = bar(xp, (1000, 1012, 988, close), short)
    after = positions.aged(position(xp, short, bars_held=4), this)
    assert float32s(xp, after.bars_held) == [5]
    assert float32s(xp, after.best) == [mirrored(best) if short else best]


def test_elements_do_not_touch_each_other(xp: Any) -> None:
    flat = positions.no_position(xp.zeros(3, xp.float32))
    this = PriceBar(*(xp.full(3, value, xp.float32) for value in (*QUIET, ATR)))
    after = positions.opened(flat, xp.asarray([BUY, HOLD, SELL]), this, this.atr, BARE)
    assert float32s(xp, after.direction) == [1, 0, -1]
    assert float32s(xp, after.stop) == pytest.approx([985, 1, 1015], rel=1e-6)


@pytest.mark.parametrize(("rules", "num_actions"), [(PHASE_1, 3), (PHASE_2, 6)])
def test_positions_are_managed_from_phase_2_on(rules: Rules, num_actions: int) -> None:
    assert rules.num_actions == num_actions


def test_it_loads_no_framework() -> None:
    code = (
        "import sys; import trainables.market.account;"
        "print({'jax', 'numpy', 'torch'} & sys.modules.keys())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "set()\n"


def test_numpy_and_jax_agree() -> None:
    jnp = pytest.importorskip("jax.numpy")
    rng = np.random.default_rng(0)
    numbers = 1000 + 20 * rng.standard_normal((4, 500))
    prices = [numbers[0], numbers.max(axis=0), numbers.min(axis=0), numbers[1]]
    orders = [rng.integers(0, 6, 500) for _ in range(2)]
    money = []
    for xp in (np, jnp):
        this = PriceBar(*(xp.asarray(row, xp.float32) for row in (*prices, np.full(500, ATR))))
        held = positions.no_position(xp.zeros(500, xp.float32))
        held = positions.opened(held, xp.asarray(orders[0]), this, this.atr, PHASE_2)
        held = positions.managed(positions.aged(held, this), xp.asarray(orders[1]))
        ends, price = positions.exit_price(held, this, PHASE_2)
        money.append(positions.settled(held, ends, price, PHASE_2)[1])
    assert np.count_nonzero(money[0]) > 100
    np.testing.assert_allclose(money[0], money[1], rtol=1e-3, atol=0.05)
