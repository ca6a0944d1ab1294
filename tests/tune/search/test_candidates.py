"""The choice among candidates: fastest, lean and balanced."""

import pytest

from finals_trials import EXPLORED, died, measured
from trainables.measurement import OutcomeKind
from tune.search.candidates import choose_candidates
from tune.search.objective import Objective
from tune.search.result import Kind
from tune.search.trial import Stage


@pytest.mark.parametrize(
    "kind",
    [OutcomeKind.THREAD_LIMIT, OutcomeKind.HOST_MEMORY, OutcomeKind.UNSTABLE, OutcomeKind.ERROR],
)
def test_feasible_once_is_not_feasible(kind: OutcomeKind) -> None:
    trials = [*EXPLORED, died(4, Stage.FINAL, kind)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 8


def test_a_lost_node_disqualifies_nobody() -> None:
    trials = [*EXPLORED, died(4, Stage.FINAL, OutcomeKind.NODE_LOST)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4


def test_only_finals_count_once_there_are_any() -> None:
    trials = [
        *EXPLORED,
        measured(4, 350.0, stage=Stage.FINAL),
        measured(4, 360.0, stage=Stage.FINAL),
    ]
    fastest = choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST]
    assert fastest.steps_per_second == pytest.approx(355.0)
    assert (fastest.low, fastest.high) == (pytest.approx(346.5), pytest.approx(363.6))
    assert fastest.confirmed
    assert fastest.num_processes == 2


@pytest.mark.parametrize(
    ("speed", "half_width", "wins"),
    [(397.0, 0.03, 8), (390.0, 0.03, 4), (397.0, 0.001, 4)],
    ids=["a tie", "more than a tie, though within noise", "no noise"],
)
def test_of_a_tie_within_noise_the_smaller_memory_wins(
    speed: float, half_width: float, wins: int
) -> None:
    trials = [
        measured(4, 400.0, half_width=half_width, device_bytes=900),
        measured(8, speed, half_width=half_width, device_bytes=100),
        measured(2, 300.0, half_width=half_width, device_bytes=1),
    ]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == wins


def test_lean_is_the_least_memory_within_five_percent() -> None:
    trials = [
        measured(4, 400.0, device_bytes=900),
        measured(8, 385.0, device_bytes=100),
        measured(2, 370.0, device_bytes=1),
    ]
    chosen = choose_candidates(trials, Objective.THROUGHPUT)
    assert chosen[Kind.FASTEST].config["num_envs"] == 4
    assert chosen[Kind.LEAN].config["num_envs"] == 8


def test_balanced_prefers_the_batch_that_learns_more_per_sample() -> None:
    trials = [
        measured(4, 400.0, batch_size=4000, noise_scale=1000.0),
        measured(8, 300.0, batch_size=500, noise_scale=1000.0),
    ]
    chosen = choose_candidates(trials, Objective.THROUGHPUT)
    assert chosen[Kind.FASTEST].config["num_envs"] == 4
    assert chosen[Kind.BALANCED].config["num_envs"] == 8


@pytest.mark.parametrize(("idle_speed", "chosen"), [(102.0, 1), (120.0, 2)])
def test_balanced_prefers_a_busy_gpu_among_near_equals_only(idle_speed: float, chosen: int) -> None:
    trials = [
        measured(1, 100.0, gpu_utilization=90.0),
        measured(2, idle_speed, gpu_utilization=40.0),
    ]
    balanced = choose_candidates(trials, Objective.THROUGHPUT)[Kind.BALANCED]
    assert balanced.config["num_envs"] == chosen


def test_nothing_is_called_balanced_without_a_noise_scale() -> None:
    assert Kind.BALANCED not in choose_candidates(EXPLORED, Objective.THROUGHPUT)


def test_slow_trials_are_no_candidates_but_no_failures_either() -> None:
    trials = [*EXPLORED, died(16, Stage.SEARCH, OutcomeKind.SLOW)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4
