"""Charts of speed: over the axes of the workload, by trial, by time."""

import dataclasses

import pytest

import searches
from factories import measurement
from report_pages import page_of
from searches import foreign
from trainables.measurement import OutcomeKind
from tune.report import speed as report_speed
from tune.search.trial import Stage, Trial


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ((), "all trials had the same values on every axis"),
        (("population",), "Speed over population"),
        (("population", "horizon"), "Speed over population and horizon"),
        (("a", "b", "c"), "Each square is the best over c."),
        (("batch_size", "num_envs", "num_steps"), "Speed over num_envs and num_steps"),
        (("vectorized_envs", "batch_size"), "Speed over vectorized_envs and batch_size"),
    ],
)
def test_the_axes_are_those_of_the_workload(axes: tuple[str, ...], said: str) -> None:
    page = page_of(foreign(*axes), baseline={"depth": 3, **dict.fromkeys(axes, 2)})
    assert said in page.text
    assert "no trial's program said how many bytes it needs" in page.text
    assert "the gradient noise scale is not known" in page.text
    assert "Every trial: depth 3." in page.text


def test_the_best_so_far_only_climbs_and_finals_and_slow_ones_do_not_count() -> None:
    def trial(number: int, speed: float, stage: Stage, kind: OutcomeKind) -> Trial:
        trial = searches.ended(number, searches.BASELINE, kind, stage=stage)
        assert trial.outcome is not None
        measured = measurement(steps_per_second=speed)
        ended = dataclasses.replace(trial.outcome, measurement=measured)
        return dataclasses.replace(trial, outcome=ended)

    trials = [
        trial(0, 3.0, Stage.BASELINE, OutcomeKind.COMPLETED),
        trial(1, 2.0, Stage.SEARCH, OutcomeKind.COMPLETED),
        trial(2, 9.0, Stage.SEARCH, OutcomeKind.SLOW),
        trial(3, 4.0, Stage.SEARCH, OutcomeKind.COMPLETED),
        trial(4, 8.0, Stage.FINAL, OutcomeKind.COMPLETED),
    ]
    steps = report_speed.best_so_far(trials, lambda trial: float(trial.number))
    assert steps == [(0.0, 3.0), (1.0, 3.0), (3.0, 4.0), (4.0, 4.0)]


@pytest.mark.parametrize(
    ("spans", "ends"),
    [
        ([(0, 10), (12, 20)], [10, 18]),  # one after the other
        ([(0, 10), (2, 5), (4, 12)], [10, 5, 12]),  # side by side
        ([(0, 10), (100_000, 100_005)], [10, 15]),  # resumed a day later
    ],
)
def test_seconds_pass_while_trials_run(spans: list[tuple[int, int]], ends: list[int]) -> None:
    trials = [
        Trial(number=n, stage=Stage.SEARCH, config={}, started_at=1e9 + a, ended_at=1e9 + b)
        for n, (a, b) in enumerate(spans)
    ]
    assert list(report_speed.running_s(trials).values()) == pytest.approx(
        [ends[n] for n in report_speed.running_s(trials)]
    )
