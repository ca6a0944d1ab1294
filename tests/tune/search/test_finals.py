import dataclasses

import pytest

from factories import measurement, outcome, trial
from trainables.measurement import OutcomeKind
from tune.search import finals
from tune.search.candidates import choose_candidates
from tune.search.finals import FinalsPlan
from tune.search.objective import Objective
from tune.search.result import Kind
from tune.search.trial import Stage, Trial

PLAN = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=10)
BASELINE = {"num_envs": 1, "batch_size": 1}


def config(num_envs: int) -> dict[str, int]:
    return {"num_envs": num_envs, "batch_size": 1}


def measured(
    num_envs: int,
    speed: float,
    *,
    stage: Stage = Stage.SEARCH,
    half_width: float = 0.01,
    device_bytes: int = 100,
    noise_scale: float | None = None,
    batch_size: int = 1,
    gpu_utilization: float | None = None,
) -> Trial:
    health = {} if noise_scale is None else {"gradient_noise_scale": noise_scale}
    return trial(
        stage=stage,
        config={"num_envs": num_envs, "batch_size": batch_size},
        outcome=outcome(
            predicted_device_bytes=device_bytes,
            measurement=measurement(
                steps_per_second=speed,
                low=speed * (1 - half_width),
                high=speed * (1 + half_width),
                health=health,
                peak_device_bytes=None,
                gpu_utilization=gpu_utilization,
            ),
        ),
    )


def died(num_envs: int, stage: Stage, kind: OutcomeKind = OutcomeKind.THREAD_LIMIT) -> Trial:
    return trial(stage=stage, config=config(num_envs), outcome=outcome(kind=kind, measurement=None))


EXPLORED = [
    measured(1, 100.0, stage=Stage.BASELINE),
    measured(2, 200.0),
    measured(4, 400.0),
    measured(8, 300.0),
]


def play(trials: list[Trial], speeds: dict[int, float]) -> list[tuple[Stage, int]]:
    """Run finals and soak to their end with these speeds; return what was run."""
    trials, ran = list(trials), []
    while (step := finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE)) is not None:
        stage, chosen = step
        ran.append((stage, chosen["num_envs"]))
        trials.append(measured(chosen["num_envs"], speeds[chosen["num_envs"]], stage=stage))
        assert len(ran) < 50
    return ran


def test_leaders_and_baseline_take_turns_there_and_back_and_the_winner_soaks() -> None:
    ran = play(EXPLORED, {1: 100.0, 4: 400.0, 8: 300.0})
    assert [num_envs for stage, num_envs in ran if stage is Stage.FINAL] == [4, 8, 1, 1, 8, 4]
    assert ran[-1] == (Stage.SOAK, 4)


def test_a_lucky_leader_loses_in_the_finals() -> None:
    ran = play(EXPLORED, {1: 100.0, 4: 250.0, 8: 300.0})
    assert ran[-1] == (Stage.SOAK, 8)


def test_a_winner_that_dies_in_its_soak_is_followed_by_the_next() -> None:
    trials = [
        *EXPLORED,
        *(measured(n, s, stage=Stage.FINAL) for n, s in [(4, 400.0), (8, 300.0), (1, 100.0)] * 2),
        died(4, Stage.SOAK),
    ]
    step = finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE)
    assert step == (Stage.SOAK, config(8))


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


def test_the_best_of_each_machine_is_measured_again() -> None:
    fast = [measured(n, 400.0 - n) for n in (4, 8, 16)]
    slow = [dataclasses.replace(measured(n, 200.0 + n), source="b/journal.log") for n in (2, 32)]
    leaders = finals.pick_leaders([*fast, *slow], PLAN, Objective.THROUGHPUT, BASELINE)
    assert [leader["num_envs"] for leader in leaders] == [4, 8, 32]


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


def test_nothing_feasible_chooses_nothing_and_runs_nothing() -> None:
    trials = [died(1, Stage.BASELINE), died(2, Stage.SEARCH)]
    assert choose_candidates(trials, Objective.THROUGHPUT) == {}
    assert finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE) is None


def test_slow_trials_are_no_candidates_but_no_failures_either() -> None:
    trials = [*EXPLORED, died(16, Stage.SEARCH, OutcomeKind.SLOW)]
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config["num_envs"] == 4


def test_without_a_soak_the_finals_are_the_end() -> None:
    plan = FinalsPlan(num_finalists=1, num_rounds=1, soak_updates=0)
    trials = [measured(1, 100.0, stage=Stage.BASELINE), measured(1, 99.0, stage=Stage.FINAL)]
    assert finals.next_step(trials, plan, Objective.THROUGHPUT, BASELINE) is None
