"""The first line says what is known: noise is no gain, and what was disturbed is no comparison."""

import dataclasses
from typing import Any

import pytest

import factories
from conclusions import conclude
from tune.search.objective import Objective
from tune.search.result import Kind, Noise

VAGUE_NOISE = Noise(sd=0.1, dof=2.0, quantile=4.3)
DEFAULT = "framework default (256 x 128, 4 minibatches)"


@pytest.mark.parametrize(
    ("changes", "context", "headline"),
    [
        ({}, {}, f"512 x 64, 8 minibatches: 1.24 x faster than the {DEFAULT}"),
        (
            {},
            {"baseline_called": "your baseline"},
            "512 x 64, 8 minibatches: 1.24 x faster than your baseline (256 x 128, 4 minibatches)",
        ),
        (
            {"steps_per_second": 50_400.0, "low": 49_700.0, "high": 51_000.0},
            {},
            f"The {DEFAULT} is already as good: nothing was clearly faster.",
        ),
        (
            {"steps_per_second": 49_600.0, "low": 48_900.0, "high": 50_100.0},
            {},
            f"The {DEFAULT} is already as good: nothing was clearly faster.",
        ),
        (
            {"noise_over_time": VAGUE_NOISE},
            {},
            f"512 x 64, 8 minibatches was not told apart from the {DEFAULT}: 0.68 x to 2.28 x its "
            "speed.",
        ),
        (
            {"noise_over_time": VAGUE_NOISE},
            {"objective": Objective.BALANCED},
            f"512 x 64, 8 minibatches was not told apart from the {DEFAULT}: 0.68 x to 2.28 x its "
            "speed.",
        ),
        (
            {"config": factories.BASELINE.config},
            {},
            f"The {DEFAULT} is already the fastest of what was tried.",
        ),
        (
            {"steps_per_second": 40_000.0, "low": 39_000.0, "high": 41_000.0},
            {"objective": Objective.BALANCED},
            "512 x 64, 8 minibatches is the best by --objective balanced, not the fastest.",
        ),
        (
            {"steps_per_second": 50_400.0, "low": 49_700.0, "high": 51_000.0},
            {"objective": Objective.BALANCED},
            "512 x 64, 8 minibatches is the best by --objective balanced, and as fast as the "
            f"{DEFAULT}.",
        ),
    ],
)
def test_the_headline_boasts_of_nothing_that_is_noise(
    changes: dict[str, Any], context: dict[str, Any], headline: str
) -> None:
    winner = factories.candidate(**changes)
    kind = Kind.BALANCED if context.get("objective") is Objective.BALANCED else Kind.FASTEST
    assert conclude(factories.result(chosen={kind: winner}), **context).headline == headline


def test_a_baseline_that_did_not_run_is_no_speed_up() -> None:
    found = conclude(factories.result(baseline=None))
    assert found.headline == "512 x 64, 8 minibatches is the fastest of what fits here."
    assert any("the baseline did not run to its end here" in text for text in found.warnings)


@pytest.mark.parametrize("who", ["winner", "baseline"])
def test_a_comparison_that_was_disturbed_is_none(who: str) -> None:
    winner = factories.candidate(disturbed=who == "winner")
    baseline = dataclasses.replace(factories.BASELINE, disturbed=who == "baseline")
    found = conclude(factories.result(chosen={Kind.FASTEST: winner}, baseline=baseline))
    assert found.headline.startswith("512 x 64, 8 minibatches looks like the fastest, but every")
    assert "faster than" not in found.headline
    assert dict(found.rows)["compared"].startswith("not comparable with ")


def test_a_baseline_that_won_is_compared_with_nothing_also_where_it_was_disturbed() -> None:
    baseline = dataclasses.replace(factories.BASELINE, disturbed=True)
    found = conclude(factories.result(chosen={Kind.FASTEST: baseline}, baseline=baseline))
    assert found.headline.startswith("The framework default (")
    assert found.headline.endswith(
        ") looks like the fastest, but it was disturbed each time: search again on a quiet machine."
    )


def test_a_baseline_beside_what_was_never_measured_in_quiet_is_not_called_the_fastest_of_all() -> (
    None
):
    noisy = factories.outcome(measurement=factories.measurement(disturbed=True))
    rival = factories.trial(config={"num_envs": 7}, outcome=noisy)
    found = conclude(
        factories.result(
            chosen={Kind.FASTEST: factories.BASELINE}, baseline=factories.BASELINE, trials=(rival,)
        )
    )
    assert found.headline.endswith(
        "is the fastest of what was measured undisturbed. Others may be faster."
    )


def test_a_small_gain_that_is_sure_does_not_read_as_none() -> None:
    sure = {
        "noise_over_time": Noise(sd=0.001, dof=100.0, quantile=1.984),
        "representative": factories.outcome(
            measurement=factories.measurement(low=49_990.0, high=50_010.0)
        ),
    }
    baseline = dataclasses.replace(factories.BASELINE, **sure)
    winner = factories.candidate(steps_per_second=50_220.0, **sure)
    found = conclude(factories.result(chosen={Kind.FASTEST: winner}, baseline=baseline))
    assert found.headline == f"512 x 64, 8 minibatches: 1.004 x faster than the {DEFAULT}"
    assert dict(found.rows)["compared"].startswith("1.002 x to 1.01 x the speed of the framework")
