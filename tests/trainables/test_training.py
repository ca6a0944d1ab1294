"""A training from scratch: when it is over, what its curve has, and what does not count."""

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trainables.built import Built
from trainables.curve import LearningCurve, LearningGate, TrainingRequest
from trainables.measurement import (
    Measurement,
    Message,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.training import Trainer, train
from trainables.workload import CompiledProgram, DeviceUsage

# The rules, of points that are given.


def taken(request: TrainingRequest, *points: tuple[float, float | None]) -> Trainer:
    """A trainer that took in these seconds and returns, at 10 env steps per second."""
    trainer = Trainer(request)
    for seconds, value in points:
        assert trainer.verdict is None
        trainer.take(seconds, int(10 * seconds), value, held_out=False)
    return trainer


GATES = (LearningGate(seconds=4.0, least_return=20.0), LearningGate(seconds=2.0, least_return=5.0))


@pytest.mark.parametrize(
    ("request_", "points", "verdict"),
    [
        ({}, [(9.9, 1.0)], None),
        ({}, [(10.0, 1.0)], "trained for 10 s."),
        ({}, [(10.1, None)], "trained for 10.1 s."),
        ({"target": 50.0}, [(1.0, 49.9)], None),
        ({"target": 50.0}, [(1.0, None)], None),
        ({"target": 50.0}, [(1.0, 50.0)], "reached 50 after 1 s of training."),
        ({"target": 50.0}, [(11.0, 60.0)], "reached 50 after 11 s of training."),
        ({"target": 0.0}, [(1.0, -3.0)], None),
        ({"target": 0.0}, [(1.0, 0.0)], "reached 0 after 1 s of training."),
        ({"gates": GATES}, [(1.9, 0.0)], None),
        ({"gates": GATES}, [(2.0, 5.0)], None),
        ({"gates": GATES}, [(1.0, 5.0), (2.0, 0.0)], None),  # the best so far counts
        ({"gates": GATES}, [(2.0, 5.0), (4.0, 20.0), (9.0, 0.0)], None),
        (
            {"gates": GATES},
            [(1.0, 4.5), (2.1, 4.9)],
            "ended after 2.1 s of training: 4.9 until 2 s, where the best so far has 5.",
        ),
        (
            {"gates": GATES},
            [(2.0, 5.0), (4.1, 19.0)],
            "ended after 4.1 s of training: 19 until 4 s, where the best so far has 20.",
        ),
        (
            {"gates": GATES},
            [(5.0, 6.0)],  # it comes to both at once
            "ended after 5 s of training: 6 until 4 s, where the best so far has 20.",
        ),
        (
            {"gates": GATES},
            [(2.0, None)],
            "ended after 2 s of training: no return until 2 s, where the best so far has 5.",
        ),
        ({"gates": GATES, "target": 3.0}, [(2.0, 4.0)], "reached 3 after 2 s of training."),
    ],
)
def test_a_training_is_over_at_its_target_its_gate_or_its_time(
    request_: dict[str, Any], points: list[tuple[float, float | None]], verdict: str | None
) -> None:
    trainer = taken(TrainingRequest(max_s=10.0, **request_), *points)
    assert trainer.verdict == verdict
    if trainer.curve is not None:
        assert trainer.curve.fell_behind is (verdict is not None and verdict.startswith("ended"))


def test_the_curve_has_the_points_whose_return_is_known() -> None:
    request = TrainingRequest(max_s=10.0)
    assert taken(request, (1.0, None), (2.0, None)).curve is None
    assert taken(request, (1.0, None), (2.00004, 3.0), (4.0, -1.0)).curve == LearningCurve(
        seconds=(2.0, 4.0), env_steps=(20, 40), returns=(3.0, -1.0)
    )


def test_the_shortest_moment_is_none_of_no_seconds() -> None:
    curve = taken(TrainingRequest(max_s=10.0), (2e-5, 1.0)).curve
    assert curve is not None
    assert curve.reached_s(1.0) == 2e-5


def test_a_stretch_grows_with_the_training_and_ends_with_it() -> None:
    stretch_s = Trainer(TrainingRequest(max_s=100.0)).next_stretch_s
    assert 0.0 < stretch_s(0.0) == stretch_s(1.0) < 1.0
    assert stretch_s(80.0) == pytest.approx(2 * stretch_s(40.0))
    assert stretch_s(40.0) > stretch_s(1.0)
    assert stretch_s(99.9) == pytest.approx(0.1)
    assert stretch_s(103.0) == 0.0


def test_a_stretch_takes_no_less_time_than_an_evaluation() -> None:
    stretch_s = Trainer(TrainingRequest(max_s=100.0)).next_stretch_s
    assert stretch_s(0.0, least_s=9.0) == stretch_s(50.0, least_s=9.0) == 9.0
    assert stretch_s(98.0, least_s=9.0) == pytest.approx(2.0)


# The training itself, on a clock that is a number.


class Pupil:
    """Learns by its number of updates: the first takes 5 s, each of the others a tenth."""

    env_steps_per_update = 100

    def __init__(self, learned: Callable[[int], float] = float) -> None:
        self.learned = learned
        self.now = 0.0
        self.num_updates = 0

    def run(self, num_updates: int) -> None:
        self.now += 0.1 * num_updates + (0.0 if self.num_updates else 4.9)
        self.num_updates += num_updates

    def health(self) -> dict[str, float]:
        return {"mean_return": self.learned(self.num_updates), "loss": 0.5}

    def fingerprint(self) -> bytes:
        return str(self.num_updates).encode()

    def clock(self) -> float:
        return self.now


class Examined(Pupil):
    """Is also judged by held-out episodes: the first time takes 30 s, each other one 0.04 s."""

    def __init__(self, learned: Callable[[int], float] = float, *, evaluation_s: float = 0.04):
        super().__init__(learned)
        self.evaluation_s = evaluation_s
        self.num_evaluations = 0

    def evaluate(self) -> float:
        self.now += self.evaluation_s if self.num_evaluations else 30.0
        self.num_evaluations += 1
        return -self.learned(self.num_updates)


def train_it(
    pupil: Pupil, *, ends_at: float = math.inf, sent: list[Message] | None = None, **training: Any
) -> Report:
    """Train for 100 s, with these fields of the training changed."""
    request = TrialRequest(
        workload="nowhere:none",
        config={},
        options={},
        platform="cpu",
        cpus=(min(os.sched_getaffinity(0)),),
        ends_at=ends_at,
        training=TrainingRequest(**({"max_s": 100.0} | training)),
    )
    built = Built(
        workload=pupil,
        program=CompiledProgram(device_bytes=2**20, flops_per_update=1e6),
        startup_s=0.1,
        build_s=0.2,
        compile_s=0.3,
    )
    return train(request, built, ([] if sent is None else sent).append, clock=pupil.clock)


def measured(report: Report) -> tuple[Measurement, LearningCurve]:
    assert report.kind is OutcomeKind.COMPLETED, report.message
    assert report.measurement is not None
    assert report.measurement.curve is not None
    return report.measurement, report.measurement.curve


def test_a_training_goes_on_to_its_time_and_tells_its_curve_and_its_speed() -> None:
    sent: list[Message] = []
    pupil = Pupil()
    report = train_it(pupil, sent=sent)
    measurement, curve = measured(report)
    assert report.message == f"trained for {measurement.measure_s:.3g} s."
    assert 100.0 <= curve.seconds[-1] < 102.0
    assert curve.returns == tuple(steps / 100 for steps in curve.env_steps)
    assert curve.env_steps[-1] == 100 * measurement.num_updates == 100 * pupil.num_updates
    assert (curve.held_out, curve.fell_behind) == (False, False)
    assert measurement.steps_per_second == pytest.approx(1000.0)
    assert measurement.measure_s == pytest.approx(curve.seconds[-1], abs=1e-4)
    assert measurement.health == {"mean_return": float(pupil.num_updates), "loss": 0.5}
    assert sent == [
        Progress(phase=Phase.WARMUP, predicted_device_bytes=2**20),
        Progress(phase=Phase.MEASURE, predicted_device_bytes=2**20),
    ]
    assert (measurement.startup_s, measurement.build_s, measurement.compile_s) == (0.1, 0.2, 0.3)
    assert report.predicted_device_bytes == measurement.predicted_device_bytes == 2**20


def test_the_first_update_counts_as_long_as_those_after_it() -> None:
    measurement, curve = measured(train_it(Pupil()))
    assert measurement.warmup_s == pytest.approx(5.0)
    assert curve.env_steps[0] == 200
    assert curve.seconds[0] == pytest.approx(0.2)
    for seconds, env_steps in zip(curve.seconds, curve.env_steps, strict=True):
        assert seconds == pytest.approx(env_steps / 1000, abs=1e-3)


def test_points_lie_closer_where_the_training_is_young() -> None:
    _, curve = measured(train_it(Pupil()))
    gaps = list(np.diff(curve.seconds))
    assert gaps[0] < 1.0
    assert gaps[-2] > 3 * gaps[0]
    assert min(np.diff(gaps[:-1])) > -1e-3


def test_a_training_ends_at_its_target() -> None:
    report = train_it(Pupil(), target=70.0)
    _, curve = measured(report)
    assert report.message.startswith("reached 70 after 7.")
    assert curve.returns[-2] < 70.0 <= curve.returns[-1]
    assert curve.reached_s(70.0) == pytest.approx(7.0)


def test_a_training_that_fell_behind_ends_at_the_gate_and_keeps_its_curve() -> None:
    report = train_it(Pupil(), gates=(LearningGate(seconds=20.0, least_return=300.0),))
    _, curve = measured(report)
    assert "where the best so far has 300" in report.message
    assert 20.0 <= curve.seconds[-1] < 22.0
    assert curve.fell_behind


def test_a_training_without_an_episode_has_no_curve_but_a_speed() -> None:
    report = train_it(Pupil(lambda _: math.nan))
    assert report.kind is OutcomeKind.COMPLETED
    assert report.measurement is not None
    assert report.measurement.curve is None
    assert report.measurement.steps_per_second == pytest.approx(1000.0)


def test_the_first_episode_may_end_late() -> None:
    _, curve = measured(train_it(Pupil(lambda n: float(n) if n > 300 else math.nan)))
    assert 30.0 < curve.seconds[0] < 33.0


@pytest.mark.parametrize("kind", [Pupil, Examined])
def test_a_training_that_learns_nothing_new_is_an_error(kind: type[Pupil]) -> None:
    pupil = kind()
    pupil.fingerprint = lambda: b"as ever"  # type: ignore[method-assign]
    report = train_it(pupil)
    assert report.kind is OutcomeKind.ERROR
    assert "no floating-point array of the state changed" in report.message


def test_a_training_that_breaks_is_unstable() -> None:
    pupil = Pupil()
    pupil.health = lambda: {"loss": math.nan if pupil.num_updates > 50 else 0.5}  # type: ignore[method-assign]
    report = train_it(pupil)
    assert (report.kind, report.measurement) == (OutcomeKind.UNSTABLE, None)
    assert "loss is nan" in report.message
    assert 50 < pupil.num_updates < 70


def test_a_held_out_return_that_breaks_is_unstable() -> None:
    report = train_it(Examined(lambda n: math.nan if n > 50 else float(n)), target=1e9)
    assert report.kind is OutcomeKind.UNSTABLE
    assert "the held-out return is nan" in report.message


def test_a_framework_that_fell_back_to_another_device_does_not_train() -> None:
    pupil = Pupil()
    usage = DeviceUsage(platform="cuda", peak_device_bytes=None, num_compilations=None)
    pupil.device_usage = lambda: usage  # type: ignore[attr-defined]
    report = train_it(pupil)
    assert (report.kind, pupil.num_updates) == (OutcomeKind.ERROR, 1)
    assert "run on cpu, but the framework uses cuda" in report.message


def test_held_out_episodes_count_where_there_are_any() -> None:
    _, curve = measured(train_it(Examined(), target=1.0))
    assert curve.held_out
    assert curve.returns == tuple(-steps / 100 for steps in curve.env_steps)


def test_a_workload_whose_held_out_part_is_empty_is_judged_by_its_own_return() -> None:
    pupil = Examined()
    pupil.evaluate = lambda: None  # type: ignore[assignment, return-value, method-assign]
    _, curve = measured(train_it(pupil))
    assert not curve.held_out
    assert curve.returns[-1] == float(pupil.num_updates)


def test_evaluations_take_no_seconds_of_the_training() -> None:
    pupil = Examined(evaluation_s=2.0)
    measurement, curve = measured(train_it(pupil))
    assert curve.seconds[-1] == pytest.approx(0.1 * pupil.num_updates, abs=1e-3)
    assert measurement.measure_s < 103.0
    assert measurement.steps_per_second == pytest.approx(1000.0)


def test_evaluations_take_no_more_time_than_the_training_between_them() -> None:
    _, curve = measured(train_it(Examined(evaluation_s=6.0)))
    assert min(np.diff(curve.seconds)[:-1]) >= 6.0


def test_what_the_first_evaluation_compiles_does_not_count() -> None:
    pupil = Examined()
    _, curve = measured(train_it(pupil))
    assert pupil.num_evaluations == 1 + len(curve.seconds)
    assert curve.seconds[1] - curve.seconds[0] < 1.0


@pytest.mark.parametrize("evaluation_s", [0.04, 3.0])
def test_no_stretch_begins_that_would_not_end_in_time(evaluation_s: float) -> None:
    for ends_at in np.arange(130.0, 140.0, 0.33):
        pupil = Examined(evaluation_s=evaluation_s)
        report = train_it(pupil, ends_at=ends_at, max_s=10_000.0)
        measurement, _ = measured(report)
        assert report.message == f"trained for {measurement.measure_s:.3g} s: its time was up."
        assert ends_at - evaluation_s - 0.3 < pupil.now <= ends_at + 1e-6


def test_a_training_whose_time_is_up_at_once_has_one_point() -> None:
    _, curve = measured(train_it(Pupil(), ends_at=1.0))
    assert curve.env_steps == (200,)


def test_a_training_takes_the_seconds_that_it_was_given() -> None:
    for max_s in (0.05, 3.0, 1000.0):
        _, curve = measured(train_it(Pupil(), max_s=max_s))
        assert max_s <= curve.seconds[-1] <= max(0.2, 1.02 * max_s + 0.1)
