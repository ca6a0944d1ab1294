"""The rules that end a trial, without a trial."""

import dataclasses

import pytest

from trainables import verdicts
from trainables.measurement import OutcomeKind, TrialRequest
from trainables.sampling import Throughput

ESTIMATE = Throughput(
    steps_per_second=1000.0, low=900.0, high=1100.0, converged=False, num_blocks=3, num_updates=30
)


@pytest.mark.parametrize(
    ("slow_below", "num_blocks", "is_slow"),
    [
        (None, 3, False),
        (800.0, 3, False),
        (1000.0, 3, False),  # it may still win
        (1100.0, 3, False),
        (1101.0, 3, True),
        (1101.0, 2, False),  # too early to tell
        (1101.0, 9, True),
    ],
)
def test_slow_is_an_interval_wholly_below(
    slow_below: float | None, num_blocks: int, is_slow: bool
) -> None:
    estimate = dataclasses.replace(ESTIMATE, num_blocks=num_blocks)
    assert (verdicts.too_slow(estimate, slow_below) is not None) is is_slow
    disturbed = dataclasses.replace(estimate, disturbed=True)
    assert verdicts.too_slow(disturbed, slow_below) is None


@pytest.mark.parametrize(
    ("need", "budget", "is_over"),
    [(None, 10, False), (10, None, False), (10, 10, False), (11, 10, True)],
)
def test_over_budget_is_more_than_all_of_it(
    need: int | None, budget: int | None, is_over: bool
) -> None:
    assert (verdicts.over_budget(need, budget) is not None) is is_over


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(5, 5, None), (5, 7, "recompiled 2 times"), (5, None, None), (None, 5, None)],
)
def test_recompilation_is_counted_where_it_can_be(
    before: int | None, after: int | None, words: str | None
) -> None:
    verdict = verdicts.recompiled(before, after)
    assert (verdict is None) == (words is None)
    if verdict is not None and words is not None:
        assert verdict[0] is OutcomeKind.ERROR
        assert words in verdict[1]


@pytest.mark.parametrize(
    ("dead_share", "is_dead"), [(None, False), (0.0, False), (0.33, False), (0.99, True)]
)
def test_a_training_whose_result_is_dropped_is_no_training(
    dead_share: float | None, is_dead: bool
) -> None:
    verdict = verdicts.dead_code(dead_share)
    assert (verdict is not None) is is_dead
    if verdict is not None:
        assert verdict[0] is OutcomeKind.ERROR
        assert "99% of the update's matrix products" in verdict[1]


@pytest.mark.parametrize(
    ("before", "after", "is_defect"),
    [(b"one", b"two", False), (b"one", b"one", True), (b"", b"", False)],
)
def test_a_state_that_stays_as_it_was_is_no_training(
    before: bytes, after: bytes, is_defect: bool
) -> None:
    assert (verdicts.nothing_trained(before, after) is not None) is is_defect


@pytest.mark.parametrize(
    ("gigaflops", "peak", "is_defect"),
    [(100, None, False), (30, 40, False), (150, 40, False), (5700, 40, True)],
)
def test_no_device_multiplies_faster_than_its_peak(
    gigaflops: float, peak: float | None, is_defect: bool
) -> None:
    verdict = verdicts.beyond_peak(gigaflops * 1e9, None if peak is None else peak * 1e9)
    assert (verdict is not None) is is_defect
    if verdict is not None:
        assert "would run at 5,700 GFLOP/s, where a large one makes 40 here" in verdict[1]


@pytest.mark.parametrize(
    ("found", "num_updates", "said"),
    [
        ({"converged": True, "num_blocks": 5}, None, "measured."),
        ({"num_blocks": 5}, None, "measured, but not to within 2%: its time was up."),
        # Narrow enough, too few blocks; and enough of them, for too short a time.
        ({"low": 990.0, "high": 1010.0}, None, "measured, but not to within 2%: its time was up."),
        (
            {"low": 990.0, "high": 1010.0, "num_blocks": 5},
            None,
            "measured, but for less time than a count is timed for.",
        ),
        (
            {"disturbed": True, "num_disturbed_blocks": 2},
            None,
            "measured, but 2 of its 3 blocks of updates were disturbed.",
        ),
        ({}, 200, "ran 30 of 200 updates."),
    ],
)
def test_what_ran_to_its_end_says_how_well_its_speed_is_known(
    found: dict[str, float], num_updates: int | None, said: str
) -> None:
    request = TrialRequest(
        workload="x:y", config={}, options={}, platform="cpu", cpus=(0,), num_updates=num_updates
    )
    verdict = verdicts.completed(dataclasses.replace(ESTIMATE, **found), request)
    assert verdict == (OutcomeKind.COMPLETED, said)


def test_each_metric_that_is_not_finite_is_named() -> None:
    health = {"loss": float("nan"), "entropy": 0.5, "approx_kl": float("-inf")}
    verdict = verdicts.unhealthy(health)
    assert verdict == (
        OutcomeKind.UNSTABLE,
        "training is unstable: loss is nan, approx_kl is -inf.",
    )
    assert verdicts.unhealthy({"loss": 1e300}) is None
    assert verdicts.unhealthy({}) is None


@pytest.mark.parametrize(
    ("speed", "said"),
    [
        (62_000.0, "62,000 steps/s, at most 63,240: it cannot reach 70,060."),
        (0.0213, "0.0213 steps/s, at most 0.0217: it cannot reach 0.0241."),
    ],
)
def test_a_slow_training_is_told_in_figures_that_differ(speed: float, said: str) -> None:
    estimate = Throughput(
        steps_per_second=speed,
        low=0.98 * speed,
        high=1.02 * speed,
        converged=True,
        num_blocks=5,
        num_updates=5,
    )
    verdict = verdicts.too_slow(estimate, 1.13 * speed, "steps")
    assert verdict is not None
    assert verdict[1] == said
