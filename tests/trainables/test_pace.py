"""Points of a training over time, cut into blocks of steady speed."""

import itertools
from collections.abc import Sequence

import pytest

from trainables.pace import Pace, Point


def blocks(intervals: Sequence[tuple[float, float]], block_s: float = 0.5) -> list[float]:
    """Return the speeds of the blocks that intervals of (seconds, steps) make."""
    pace = Pace(block_s)
    seconds = itertools.accumulate((s for s, _ in intervals), initial=0.0)
    steps = itertools.accumulate((n for _, n in intervals), initial=0.0)
    heard = [pace.hear(Point(s, n)) for s, n in zip(seconds, steps, strict=True)]
    return [block.speed for block in heard if block is not None]


def test_the_start_is_left_out_while_it_gets_faster() -> None:
    warming = [(10.0, 100.0), (2.0, 100.0), (1.2, 100.0), (1.0, 100.0)]  # 10 to 100 steps/s
    assert blocks([*warming, (1.0, 100.0), (1.0, 99.0), (1.0, 101.0)]) == [99.0, 101.0]


def test_a_start_that_gets_faster_for_ever_is_left_out_for_six_intervals() -> None:
    assert len(blocks([(1.0, 2.0**n) for n in range(10)])) == 4


def test_short_intervals_make_one_block_weighed_by_time() -> None:
    steady = [(0.2, 20.0), (0.2, 20.0)]
    assert blocks([*steady, (0.2, 20.0), (0.2, 20.0), (0.2, 5.0)]) == pytest.approx([75.0])


def test_a_long_interval_is_a_block() -> None:
    assert blocks([(5.0, 50.0), (5.0, 50.0), (5.0, 55.0), (6.0, 60.0)]) == [11.0, 10.0]


def test_points_without_time_between_them_are_no_speed() -> None:
    assert blocks([(0.0, 10.0), (0.0, 10.0), (1.0, 10.0), (1.0, 10.0)]) == [10.0, 10.0]


def test_the_leap_of_a_count_divides_all_its_intervals() -> None:
    pace = Pace(1.0)
    for at, steps in enumerate([0, 1024, 2560, 4096, 6144]):
        pace.hear(Point(5.0 * at, steps))
    assert pace.quantum == 512
