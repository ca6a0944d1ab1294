"""Scales: ticks are round, few and short."""

import pytest

from cluster.pages.scale import Linear, Log, short


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([3.0], [2.5, 2.7, 2.9, 3.1, 3.3, 3.5]),
        ([0.0, 61_300.0], [0, 20_000, 40_000, 60_000, 80_000]),
        ([-1.0, 1.0], [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_linear_ticks_are_round_and_few(values: list[float], ticks: list[float]) -> None:
    scale = Linear.over(values)
    assert len(scale.ticks()) <= 7
    for value in values:
        assert 0.0 <= scale.place(value) <= 1.0
    if len(values) != 1:
        assert scale.ticks() == pytest.approx(ticks)


def test_counted_things_have_whole_ticks() -> None:
    assert Linear.over([0.0, 2.0], whole=True).ticks() == [0.0, 1.0, 2.0]
    assert Linear.over([7.0], whole=True).ticks() == [6.0, 7.0, 8.0]


@pytest.mark.parametrize(
    ("values", "base", "ticks"),
    [
        ([22.0, 32_202.0], 10, [10, 100, 1_000, 10_000, 100_000]),
        ([1000.0], 10, [1000, 10_000]),
        ([2.0**20, 2.0**34], 2, [2**20, 2**23, 2**26, 2**29, 2**32]),
        ([], 2, [1, 2]),
    ],
)
def test_logarithmic_ticks_are_powers_and_few(
    values: list[float], base: int, ticks: list[float]
) -> None:
    scale = Log.over(values, base=base)
    assert scale.ticks() == ticks
    for value in values:
        assert 0.0 <= scale.place(value) <= 1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (20_000, "20 K"), (1.5e6, "1.5 M"), (2e9, "2 B"), (0.1 + 0.2, "0.3")],
)
def test_a_tick_is_short(value: float, text: str) -> None:
    assert short(value) == text
