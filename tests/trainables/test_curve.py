"""Figures of a learning curve, against ones worked out by hand."""

import pytest

from trainables.curve import LearningCurve

CURVE = LearningCurve(
    seconds=(2.0, 4.0, 8.0), env_steps=(20, 40, 80), returns=(1.0, 3.0, 1.0), held_out=True
)


@pytest.mark.parametrize(
    ("level", "seconds"),
    [(-5.0, 2.0), (1.0, 2.0), (1.5, 2.5), (2.0, 3.0), (3.0, 4.0), (3.1, None)],
)
def test_a_level_is_reached_on_a_straight_line_between_two_points(
    level: float, seconds: float | None
) -> None:
    assert CURVE.reached_s(level) == seconds


def test_a_level_is_reached_when_it_first_was() -> None:
    curve = LearningCurve(
        seconds=(1.0, 2.0, 3.0, 4.0), env_steps=(1, 2, 3, 4), returns=(0.0, 4.0, 1.0, 9.0)
    )
    assert curve.reached_s(3.0) == 1.75


@pytest.mark.parametrize(
    ("seconds", "best"), [(1.9, None), (2.0, 1.0), (3.9, 1.0), (4.0, 3.0), (8.0, 3.0), (99.0, 3.0)]
)
def test_the_best_is_of_the_points_up_to_then(seconds: float, best: float | None) -> None:
    assert CURVE.best_until(seconds) == best


@pytest.mark.parametrize(
    ("seconds", "area"),
    [
        (1.0, 1.0),  # the first point stands for what was before it
        (2.0, 2.0),
        (3.0, 2.0 + 1.5),
        (4.0, 2.0 + 4.0),
        (6.0, 2.0 + 4.0 + 5.0),
        (8.0, 2.0 + 4.0 + 8.0),
        (16.0, 2.0 + 4.0 + 8.0 + 8.0),  # the last for what comes after it
    ],
)
def test_the_mean_is_the_area_under_the_curve(seconds: float, area: float) -> None:
    assert CURVE.mean_until(seconds) == pytest.approx(area / seconds)


@pytest.mark.parametrize(
    ("seconds", "final"),
    [
        (8.0, 1.4),  # falls from 1.8 at 6.4 s to 1
        (9.0, (0.8 * 1.2 + 1.0) / 1.8),  # falls from 1.4 at 7.2 s to 1 at 8 s, and stays
        (20.0, 1.0),
    ],
)
def test_the_final_return_is_the_mean_over_the_last_fifth(seconds: float, final: float) -> None:
    assert CURVE.final(seconds) == pytest.approx(final)


def test_a_flat_curve_of_one_point_is_the_same_everywhere() -> None:
    curve = LearningCurve(seconds=(3.0,), env_steps=(30,), returns=(-7.0,))
    for seconds in (1.0, 3.0, 50.0):
        assert (curve.mean_until(seconds), curve.final(seconds)) == pytest.approx((-7.0, -7.0))
