"""What trials typically take."""

import pytest

from factories import failed, measurement, outcome, trial
from trainables.measurement import OutcomeKind
from tune.search.durations import (
    Mean,
    as_final_s,
    mean_s,
    measured_s,
    start_s,
    typical_final_s,
    typical_start_s,
)
from tune.search.trial import Stage, Trial


def ran(stage: Stage, wall_s: float, measure_s: float, *, converged: bool = True) -> Trial:
    measured = measurement(measure_s=measure_s, converged=converged)
    return trial(stage=stage, outcome=outcome(wall_s=wall_s, measurement=measured))


DIED = trial(outcome=failed(OutcomeKind.DEVICE_MEMORY, "it does not fit.", wall_s=30.0))
WAITS = trial(outcome=None)


@pytest.mark.parametrize(
    ("one", "seconds"),
    [
        (ran(Stage.SEARCH, 9.0, 4.0), (9.0, 9.0, 5.0)),
        (ran(Stage.SEARCH, 13.0, 8.0, converged=False), (13.0, 20.0, 5.0)),
        (ran(Stage.FINAL, 20.0, 15.0, converged=False), (20.0, 20.0, 5.0)),
        (DIED, (None, None, None)),
        (WAITS, (None, None, None)),
    ],
)
def test_a_trial_takes_longer_as_a_final_if_its_speed_is_not_known_well(
    one: Trial, seconds: tuple[float | None, ...]
) -> None:
    assert (measured_s(one), as_final_s(one), start_s(one)) == seconds


EXPLORED = [ran(Stage.SEARCH, 9.0, 4.0), ran(Stage.BASELINE, 13.0, 8.0, converged=False), DIED]
FINALS = [ran(Stage.FINAL, 16.0, 14.0), ran(Stage.LEVER, 20.0, 16.0)]


@pytest.mark.parametrize(
    ("trials", "final_s", "unmeasured_s"),
    [
        ([], 0.0, 0.0),
        ([DIED], 0.0, 0.0),
        (EXPLORED, 14.5, 5.0),
        ([*EXPLORED, *FINALS], 18.0, 3.0),
        ([*EXPLORED, trial(stage=Stage.FINAL, outcome=None)], 14.5, 5.0),
    ],
)
def test_what_finals_take_is_told_by_finals_once_there_are_some(
    trials: list[Trial], final_s: float, unmeasured_s: float
) -> None:
    assert typical_final_s(trials) == pytest.approx(final_s)
    assert typical_start_s(trials) == pytest.approx(unmeasured_s)


def test_a_mean_follows_trials_that_come_and_change() -> None:
    mean, trials = Mean(measured_s), list[Trial]()
    for one in (WAITS, *EXPLORED, *FINALS):
        mean.change(None, one)
        trials.append(one)
        assert mean.mean == pytest.approx(mean_s(trials, measured_s))
    mean.change(trials[1], trials[2])
    mean.change(trials[4], None)
    assert mean.mean == pytest.approx(mean_s([*trials[2:4], trials[2], trials[5]], measured_s))
