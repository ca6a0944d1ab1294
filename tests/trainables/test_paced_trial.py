"""Trials that take points as they come: what they make of counts that move in leaps."""

import dataclasses
import math

import pytest

from trainables.measurement import Measurement, Report, Sampling, TrialRequest
from trainables.pace import Point
from trainables.paced_trial import PacedTrial

REQUEST = TrialRequest(
    workload="",
    config={},
    options={},
    platform="cpu",
    cpus=(0,),
    sampling=Sampling(max_measure_s=40.0),
)


def measured(true_speed: float, leap: int, *, by_clock: bool, every_s: float = 5.0) -> Measurement:
    """Let a count in leaps of a training of `true_speed` be printed every few seconds."""
    trial, report = PacedTrial(REQUEST, lambda message: None), None
    trial.by_clock = by_clock
    for number in range(100):
        at_s = 1.7 + number * every_s
        point = Point(number * every_s, math.floor(at_s * true_speed / leap) * leap)
        report = report or trial.take(point, trial._started + at_s)
    assert isinstance(report, Report)
    assert report.measurement is not None
    return report.measurement


@pytest.mark.parametrize("true_speed", [580.0, 614.4, 640.0, 655.0, 700.0])
def test_a_count_in_leaps_is_as_uncertain_as_a_leap_makes_it(true_speed: float) -> None:
    found = measured(true_speed, 512, by_clock=True)
    assert found.low <= true_speed <= found.high
    assert found.steps_per_second == pytest.approx(true_speed, rel=0.05)
    assert found.high - found.low >= 2 * 512 / 45.0


def test_without_knowing_of_the_leaps_it_would_look_certain() -> None:
    found = measured(625.0, 512, by_clock=False)
    assert not found.low <= 625.0 <= found.high
    assert measured(625.0, 512, by_clock=True).low <= 625.0


def test_small_leaps_are_no_matter() -> None:
    found = measured(640.0, 4, by_clock=True)
    assert found.converged
    assert found.steps_per_second == pytest.approx(640.0, rel=0.005)


def test_the_report_comes_before_the_trial_is_killed() -> None:
    """Points come every 60 s: the next would be too late."""
    trial = PacedTrial(REQUEST, lambda message: None)
    sampling = Sampling(max_measure_s=1000.0)
    trial._request = dataclasses.replace(REQUEST, sampling=sampling, ends_at=trial._started + 400.0)
    reports = [
        trial.take(Point(60.0 * number, 100.0 * number), trial._started + 60.0 * number)
        for number in range(7)
    ]
    assert [report is not None for report in reports] == [False] * 6 + [True]
