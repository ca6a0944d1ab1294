"""Levels of a canary's looks."""

import math

import pytest

from trainables.machine_speed import MIN_LOOKS, MachineBest, level, slowed, slowed_blocks


def test_few_looks_tell_no_level() -> None:
    assert level([1.0] * (MIN_LOOKS - 1)) is None
    assert level([1.0] * MIN_LOOKS) is not None


def test_a_level_is_the_geometric_mean_with_its_standard_error() -> None:
    found = level([1.0, 4.0, 1.0, 4.0])
    assert found is not None
    assert found.mean == pytest.approx(2.0)
    error = math.log(4.0) / math.sqrt(3) / 2  # sd of 0, log 4, 0, log 4 over the root of four
    assert found.error == pytest.approx(error)
    assert found.bound(-2.0) == pytest.approx(2.0 * math.exp(-2.0 * error))
    assert found.bound(1.0) == pytest.approx(2.0 * math.exp(error))


def test_looks_that_differ_widely_leave_a_wide_interval() -> None:
    steady, changing = level([100.0] * 10), level([75.0, 100.0] * 5)
    assert steady is not None
    assert changing is not None
    assert changing.bound(2.0) > 0.95 * steady.mean


@pytest.mark.parametrize(
    ("looks", "best", "told"),
    [
        ([], 0.0, ""),
        ([100.0], 0.0, ""),  # before the first block
        ([100.0, 60.0], 0.0, "."),  # nothing to compare with
        ([60.0] * 3, 100.0, "xx"),  # other trials have seen it faster
        ([60.0] * 7, 0.0, "......"),
        ([100.0, 100.0, 100.0, 100.0, 60.0, 60.0, 100.0], 0.0, "...xxx"),
        ([60.0, 60.0, 60.0, 60.0, 100.0, 100.0, 100.0, 100.0], 0.0, "xxxx..."),
        ([100.0, 98.0, 103.0, 96.0, 101.0], 100.0, "...."),
        ([100.0] * 6 + [150.0] + [100.0] * 6, 0.0, "............"),  # one lucky look is no best
        ([50.0] * 5, 40.0, "...."),  # faster than was known
    ],
)
def test_a_block_was_slowed_if_the_looks_about_it_are_below_the_best(
    looks: list[float], best: float, told: str
) -> None:
    assert slowed(looks, best, 0.88) == [mark == "x" for mark in told]


@pytest.mark.parametrize(
    ("compute", "handoff", "told"),
    [
        ([100.0, 100.0, 100.0], [50.0, 50.0, 50.0], ".."),
        ([100.0, 70.0, 70.0], [50.0, 50.0, 50.0], "xx"),  # the first is half in it
        ([100.0, 100.0, 100.0], [50.0, 50.0, 30.0], ".x"),
        ([100.0, 100.0, 70.0], [], ".x"),  # on one CPU
        ([100.0, 100.0, 100.0], [], ".."),
    ],
)
def test_either_kind_of_look_tells_a_slow_block(
    compute: list[float], handoff: list[float], told: str
) -> None:
    best = MachineBest(compute=100.0, handoff=50.0)
    assert slowed_blocks(compute, handoff, best) == [mark == "x" for mark in told]
