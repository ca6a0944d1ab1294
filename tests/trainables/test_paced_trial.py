"""Trials that take points as they come: of counts that move in leaps, and of what is learned."""

import dataclasses
import math

import pytest

from trainables.curve import LearningGate, TrainingRequest
from trainables.disturbance import IGNORES
from trainables.measurement import Measurement, OutcomeKind, Report, TrialRequest
from trainables.pace import Point
from trainables.paced_trial import PacedTrial
from trainables.sampling import Sampling

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


def stepped(rollout: int, step_s: float, update_s: float, max_s: float) -> tuple[Report, float]:
    """Let a count tell each step of a rollout, and stand still while it learns.

    Return the report and its true speed.
    """
    sampling = Sampling(max_measure_s=max_s)
    trial = PacedTrial(dataclasses.replace(REQUEST, sampling=sampling), lambda message: None)
    trial.by_clock = True
    report, number, at_s = None, 0, 0.0
    while report is None:
        report = trial.take(Point(at_s, number), trial._started + at_s)
        number += 1
        at_s += step_s + (update_s if number % rollout == 0 else 0.0)
    return report, rollout / (rollout * step_s + update_s)


@pytest.mark.parametrize("max_s", [8.0, 15.0])
@pytest.mark.parametrize(
    ("rollout", "step_s", "update_s", "off"),
    [
        (1024, 0.005, 3.0, 0.2),
        (512, 0.010, 2.0, 0.2),
        (128, 0.010, 0.7, 0.1),
        (16, 0.010, 0.1, 0.01),
        (1, 0.010, 0.1, 0.001),
    ],
)
def test_the_time_of_updates_is_in_a_speed_that_moves_within_them(
    rollout: int, step_s: float, update_s: float, off: float, max_s: float
) -> None:
    report, true_speed = stepped(rollout, step_s, update_s, max_s)
    found = report.measurement
    assert found is not None
    assert found.low <= true_speed <= found.high
    assert found.steps_per_second == pytest.approx(true_speed, rel=off)
    assert found.measure_s >= max_s
    is_seen_rarely = rollout > 100
    assert found.converged != is_seen_rarely
    assert ("its time was up" in report.message) == is_seen_rarely


class Others:
    """Others that disturb all looks from one on, up to another; the first is before the blocks."""

    own_cpus = others_cpus = None

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self.num_looks = self.num_blocks = 0

    def forget(self) -> None:
        assert self.num_looks == 1

    def disturbed(self) -> bool:
        were = self._first <= self.num_looks <= self._last
        self.num_looks += 1
        self.num_blocks += were
        return were


@pytest.mark.parametrize("on_gpu", [False, True])
def test_blocks_that_others_disturbed_do_not_count(
    on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(IGNORES)
    trial = PacedTrial(REQUEST, lambda message: None)
    nobody, somebody = Others(1, 0), Others(0, 4)
    monkeypatch.setattr(trial, "_neighbours", nobody if on_gpu else somebody)
    monkeypatch.setattr(trial, "_on_gpu", somebody if on_gpu else nobody)
    steps, number, report = 0.0, 0, None
    while report is None:
        report = trial.take(Point(number, steps), trial._started + number)
        number += 1
        assert number < 100
        steps += 50.0 if somebody.num_looks < 5 else 100.0
    assert report.measurement is not None
    assert report.measurement.steps_per_second == pytest.approx(100.0)
    assert report.measurement.num_disturbed_blocks == 4
    assert report.measurement.num_gpu_shared_blocks == (4 if on_gpu else 0)


class OtherTimes(Others):
    """Others that disturb every second block, once five have been quiet."""

    def disturbed(self) -> bool:
        self.num_looks += 1
        return self.num_looks > 6 and self.num_looks % 2 == 0


def test_a_steady_count_that_was_timed_too_briefly_is_not_called_unsteady(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(IGNORES)
    trial, report, number = PacedTrial(REQUEST, lambda message: None), None, 0
    trial.by_clock = True
    monkeypatch.setattr(trial, "_neighbours", OtherTimes(0, 0))
    while report is None:
        point = Point(float(number), 1000.0 * number + number % 2)  # in leaps of one
        report = trial.take(point, trial._started + number)
        number += 1
        assert number < 100
    assert report.measurement is not None
    assert not report.measurement.converged
    assert report.message == "measured, but for less time than a count is timed for."


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


def test_a_count_that_stands_still_is_no_speed() -> None:
    trial = PacedTrial(REQUEST, lambda message: None)
    trial.unit = "samples"
    reports = (
        trial.take(Point(number, 7.0 if number else 0.0), trial._started + number)
        for number in range(100)
    )
    report = next(report for report in reports if report is not None)
    assert (report.kind, report.measurement) == (OutcomeKind.INVALID, None)
    assert "it told no samples for half of its time or more" in report.message


def trained(
    training: TrainingRequest, *, every_s: float, metrics: bool = True, start_s: float = 3.0
) -> Report:
    """Let a training tell that its return is its seconds, until that is enough."""
    trial = PacedTrial(dataclasses.replace(REQUEST, training=training), lambda message: None)
    trial.health = {"loss": 0.5}
    for number in range(10_000):
        at_s = number * every_s
        if metrics:
            trial.tell(at_s, trial._started + start_s + at_s)
        report = trial.take(Point(at_s, 80.0 * number), trial._started + start_s + at_s)
        if report is not None:
            return report
    raise AssertionError("it never ends")


@pytest.mark.parametrize("every_s", [0.01, 1.0])
def test_a_training_that_tells_metrics_has_a_curve(every_s: float) -> None:
    report = trained(TrainingRequest(max_s=60.0), every_s=every_s)
    assert report.kind is OutcomeKind.COMPLETED
    assert report.measurement is not None
    curve = report.measurement.curve
    assert curve is not None
    later = slice(1, None)  # the first return is of the first stretch
    assert curve.returns[later] == pytest.approx(curve.seconds[later], abs=0.02)
    assert (curve.returns[0], curve.seconds[0]) == (0.0, 0.15), "the start-up is left out"
    assert len(curve.seconds) < 100, "it is thinned out"
    assert curve.env_steps[-1] == pytest.approx(80.0 * 60.0 / every_s, rel=0.02)
    assert report.measurement.steps_per_second == pytest.approx(80.0 / every_s, rel=0.05)
    assert report.measurement.num_blocks > 20
    assert report.measurement.health == {"loss": 0.5, "mean_return": pytest.approx(60, abs=1.0)}


def test_a_speed_that_is_known_ends_no_training() -> None:
    report = trained(TrainingRequest(max_s=600.0), every_s=0.5)
    assert report.message.startswith("trained for 600 s")
    assert report.measurement is not None
    assert report.measurement.num_blocks <= 200


def test_a_training_ends_at_its_target_or_at_a_gate() -> None:
    reached = trained(TrainingRequest(max_s=600.0, target=20.0), every_s=0.5)
    assert reached.message.startswith("reached 20 after 2")
    gate = LearningGate(seconds=30.0, least_return=50.0)
    behind = trained(TrainingRequest(max_s=600.0, gates=(gate,)), every_s=0.5)
    assert "until 30 s, where the best so far has 50" in behind.message
    assert behind.measurement is not None
    assert behind.measurement.curve is not None
    assert behind.measurement.curve.fell_behind


def test_a_training_without_a_return_says_what_to_tell() -> None:
    report = trained(TrainingRequest(max_s=20.0), every_s=1.0, metrics=False)
    assert report.kind is OutcomeKind.ERROR
    assert "learning is judged by that: let it tell a 'mean_return'." in report.message


@pytest.mark.parametrize("told_s", [0.0, -2.0])
def test_a_return_of_the_beginning_is_of_the_first_stretch(told_s: float) -> None:
    """Seconds to a level are compared by their logarithms: none are 0."""
    training = TrainingRequest(max_s=20.0)
    trial = PacedTrial(dataclasses.replace(REQUEST, training=training), lambda message: None)
    trial.tell(7.0, trial._started + told_s)
    for seconds in (0.0, 0.03, 12.0):
        assert trial.take(Point(seconds, 10.0 * seconds), trial._started + seconds) is None
    trial.tell(8.0, trial._started + 12.0)
    report = trial.look(trial._started + 20.0)
    assert report is not None
    assert report.measurement is not None
    curve = report.measurement.curve
    assert curve is not None
    assert curve.seconds == pytest.approx((0.05, 12.0))
    assert curve.reached_s(7.0) == pytest.approx(0.05)


def test_a_target_that_is_met_at_the_first_reading_is_told_with_a_speed() -> None:
    training = TrainingRequest(max_s=20.0, target=5.0)
    trial = PacedTrial(dataclasses.replace(REQUEST, training=training), lambda message: None)
    trial.tell(6.0, trial._started)
    assert trial.take(Point(0.0, 0.0), trial._started) is None
    trial.tell(4.0, trial._started + 1.0)
    assert trial.look(trial._started + 1.0) is None
    report = trial.take(Point(2.0, 100.0), trial._started + 2.0)
    assert report is not None
    assert (report.kind, report.message) == ("completed", "reached 5 after 0.05 s of training.")
    assert report.measurement is not None
    assert report.measurement.steps_per_second == pytest.approx(50.0)
    assert report.measurement.curve is not None
    assert report.measurement.curve.returns == (6.0,)


def test_a_single_point_is_no_speed() -> None:
    training = TrainingRequest(max_s=20.0)
    trial = PacedTrial(dataclasses.replace(REQUEST, training=training), lambda message: None)
    trial.tell(1.0, trial._started)
    assert trial.take(Point(0.0, 0.0), trial._started) is None
    assert trial.look(trial._started + 10.0) is None
    report = trial.look(trial._started + 20.0)
    assert report is not None
    assert report.kind is OutcomeKind.INVALID
    assert "it told its steps once" in report.message


def test_readings_that_are_too_rare_for_the_time_are_said() -> None:
    trial = PacedTrial(REQUEST, lambda message: None)
    began = trial._started
    trial._request = dataclasses.replace(REQUEST, ends_at=began + 300.0)
    for at_s in (100.0, 190.0):
        assert trial.take(Point(at_s - 100.0, at_s), began + at_s) is None
        assert trial.look(began + at_s + 80.0) is None
    report = trial.look(began + 301.0)
    assert report is not None
    assert (report.kind, report.measurement) == (OutcomeKind.TIMEOUT, None)
    assert report.message.startswith(
        "its time was up 201 s after its first reading, of which there were 2 in all, too few to "
        "time: let it print more often, or raise --trial-timeout"
    )
