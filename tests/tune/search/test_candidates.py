"""The choice among candidates: fastest, lean and balanced."""

import dataclasses

import pytest

from finals_trials import EXPLORED, config, died, ended, measured
from learners import trained
from trainables.measurement import OutcomeKind
from tune.search.candidates import (
    candidates_of,
    choose_candidates,
    learner_of,
    result_of,
    winning_kind,
)
from tune.search.learned import LearningPlan
from tune.search.learning import judge
from tune.search.objective import Objective
from tune.search.result import Kind, SearchResult
from tune.search.trial import Stage, Trial


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


def test_a_defect_while_exploring_disqualifies_nobody() -> None:
    trials = [*EXPLORED, died(4, Stage.GPU, OutcomeKind.ERROR)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4


def test_a_configuration_needs_the_most_that_any_of_its_processes_did() -> None:
    trials = [measured(4, 400.0, stage=Stage.FINAL, device_bytes=need) for need in (100, 300, 200)]
    [found] = candidates_of(trials)
    assert found.device_bytes == 300
    assert found.representative is trials[-1].outcome


def test_what_was_never_quiet_does_not_make_the_others_uncertain() -> None:
    quiet = [measured(n, 100.0 * n, stage=Stage.FINAL) for n in (1, 4) * 3]
    noisy = [measured(8, v, stage=Stage.FINAL, disturbed=True) for v in (300.0, 50.0, 700.0)]
    of_quiet, beside_noisy = candidates_of(quiet)[0], candidates_of([*quiet, *noisy])[0]
    assert (beside_noisy.low, beside_noisy.high) == (of_quiet.low, of_quiet.high)


def test_only_finals_count_once_there_are_any() -> None:
    trials = [
        *EXPLORED,
        measured(4, 350.0, stage=Stage.FINAL),
        measured(4, 360.0, stage=Stage.FINAL),
    ]
    fastest = choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST]
    assert fastest.steps_per_second == pytest.approx(355.0)
    assert fastest.low < 346.5 < 363.6 < fastest.high  # wider than both: another process differs
    assert fastest.confirmed
    assert fastest.num_processes == 2


@pytest.mark.parametrize(
    ("speed", "half_width", "wins"),
    [(397.0, 0.03, 8), (390.0, 0.03, 4)],
    ids=["a tie", "more than a tie, though within noise"],
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


@pytest.mark.parametrize(
    ("speeds", "wins"),
    [
        ([(4, 400.0, False), (8, 398.0, True)], 4),
        ([(4, 398.0, False), (8, 400.0, True)], 4),
        ([(4, 400.0, True), (8, 398.0, True)], 8),  # the leaner of two that were never quiet
        ([(4, 390.0, False), (8, 400.0, True)], 8),  # no tie: it is that fast at least
    ],
)
def test_of_a_tie_what_was_measured_undisturbed_wins(
    speeds: list[tuple[int, float, bool]], wins: int
) -> None:
    trials = [
        measured(n, speed, stage=Stage.FINAL, device_bytes=1000 // n, disturbed=disturbed)
        for n, speed, disturbed in speeds
    ]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == wins


def test_without_noise_the_faster_wins_a_near_tie() -> None:
    speeds = [(4, 400.0, 900), (8, 397.0, 100)]
    trials = [
        measured(n, speed, stage=Stage.FINAL, half_width=0.0001, peak_device_bytes=need)
        for _ in range(6)
        for n, speed, need in speeds
    ]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4


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
    # Unless it is searched: then it discounts no batch size.
    searched = choose_candidates(EXPLORED, Objective.BALANCED)[Kind.BALANCED]
    assert searched.config["num_envs"] == 4


def test_slow_trials_are_no_candidates_but_no_failures_either() -> None:
    trials = [*EXPLORED, died(16, Stage.SEARCH, OutcomeKind.SLOW)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4


def test_what_learned_fastest_and_died_since_gives_way_to_the_next() -> None:
    first, second = config(2), config(4)
    told = [trained(first, 4.0, number=0), trained(second, 9.0, number=1)]
    plan = LearningPlan(target=100.0, training_s=20.0)
    assert learner_of(told, judge(told, plan)) == first
    late = dataclasses.replace(died(2, Stage.SOAK, OutcomeKind.DEVICE_MEMORY), number=2)
    assert learner_of([*told, late], judge([*told, late], plan)) == second
    assert learner_of([], None) is None


@pytest.mark.parametrize(
    ("later", "fastest", "is_confirmed"),
    [
        ([measured(1, 100.0, stage=Stage.FINAL)], 4, False),
        ([measured(1, 100.0, stage=Stage.FINAL), died(4, Stage.FINAL)], 8, False),
        ([measured(1, 500.0, stage=Stage.FINAL)], 1, True),
        ([measured(1, 100.0, stage=Stage.FINAL), measured(8, 300.0, stage=Stage.FINAL)], 8, True),
    ],
    ids=["it alone", "the leader died", "it alone, and it is faster", "another"],
)
def test_a_final_of_the_baseline_alone_compares_nothing(
    later: list[Trial], fastest: int, is_confirmed: bool
) -> None:
    chosen = result_so_far([*EXPLORED, *later]).chosen[Kind.FASTEST]
    assert (chosen.config, chosen.confirmed) == (config(fastest), is_confirmed)


def test_before_any_final_the_best_explored_is_chosen_the_baseline_too() -> None:
    chosen = result_so_far([measured(1, 400.0), measured(4, 300.0)]).chosen[Kind.FASTEST]
    assert (chosen.config, chosen.confirmed) == (config(1), False)


@pytest.mark.parametrize(
    "died_since",
    [[], [measured(8, 500.0), died(8, Stage.FINAL)]],
    ids=["all live", "a faster died"],
)
def test_a_baseline_that_was_the_best_explored_wins_by_its_finals_alone(
    died_since: list[Trial],
) -> None:
    # Beside its final's moment another's exploring looks faster; nobody else came to the finals.
    trials = [measured(1, 400.0), measured(4, 395.0), measured(1, 380.0, stage=Stage.FINAL)]
    chosen = result_so_far([*trials, *died_since]).chosen[Kind.FASTEST]
    assert (chosen.config, chosen.confirmed) == (config(1), True)
    assert chosen.steps_per_second == pytest.approx(380.0)


def test_what_learns_fastest_is_chosen_also_before_its_finals() -> None:
    finals = [measured(n, 100.0 * n, stage=Stage.FINAL) for n in (1, 4)]
    learned = trained(config(2), 4.0)
    found = result_so_far([*EXPLORED, learned, *finals], LearningPlan(training_s=20.0))
    assert found.chosen[Kind.LEARNING].config == found.learner == config(2)
    assert not found.chosen[Kind.LEARNING].confirmed


def result_so_far(trials: list[Trial], learning: LearningPlan | None = None) -> SearchResult:
    return result_of(
        tuple(trials),
        objective=Objective.THROUGHPUT if learning is None else Objective.LEARNING,
        baseline=config(1),
        stop_reason="it was interrupted",
        partial=True,
        wall_s=1.0,
        learning=learning,
    )


def test_what_learns_fastest_is_chosen_once_it_was_measured() -> None:
    chosen = choose_candidates(EXPLORED, Objective.LEARNING, config(2))
    assert chosen[Kind.LEARNING].config == config(2)
    assert chosen[Kind.FASTEST].config == config(4)
    assert Kind.LEARNING not in choose_candidates(EXPLORED, Objective.LEARNING, config(16))
    assert winning_kind(Objective.LEARNING) is Kind.LEARNING


@pytest.mark.parametrize(("speed", "is_kept"), [(260.0, True), (190.0, False)])
def test_what_learns_fastest_is_chosen_with_a_lever_that_its_finals_showed(
    speed: float, is_kept: bool
) -> None:
    learner, lever = config(2), config(2) | {"env.FAST": "1"}
    told = [trained(learner, 4.0)]
    trials = [
        *EXPLORED,
        *told,
        *(ended(learner, 200.0, stage=Stage.FINAL),) * 2,
        *(ended(lever, speed, stage=Stage.FINAL),) * 2,
    ]
    chosen = choose_candidates(trials, Objective.LEARNING, learner)[Kind.LEARNING]
    assert chosen.config == (lever if is_kept else learner)
    judgement = judge(told, LearningPlan(target=100.0, training_s=20.0))
    assert judgement is not None
    assert judgement.of(chosen.config) is judgement.best
