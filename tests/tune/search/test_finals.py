"""Finals: leaders and baseline take turns, and the winner soaks."""

import dataclasses
from collections.abc import Sequence

import pytest

import factories
from finals_trials import EXPLORED, config, died, measured
from trainables.measurement import OutcomeKind
from tune.search import finals
from tune.search.candidates import choose_candidates
from tune.search.finals import Affordable, FinalsPlan
from tune.search.objective import Objective
from tune.search.result import Kind
from tune.search.trial import Stage, Trial

PLAN = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=10)


BASELINE = {"num_envs": 1, "batch_size": 1}
NOISE = (0.985, 1.015, 0.985, 1.0, 1.0, 1.015)  # of two leaders in turns, one is up, one is down


def play(
    trials: list[Trial],
    speeds: dict[int, float],
    plan: FinalsPlan = PLAN,
    noise: Sequence[float] = (1.0,),
) -> list[tuple[Stage, int]]:
    """Run finals and soak to their end with these speeds; return what was run."""
    trials, ran = list(trials), []
    while (step := finals.next_step(trials, plan, Objective.THROUGHPUT, BASELINE)) is not None:
        stage, chosen = step
        ran.append((stage, chosen["num_envs"]))
        speed = speeds[chosen["num_envs"]] * noise[len(ran) % len(noise)]
        trials.append(measured(chosen["num_envs"], speed, stage=stage))
        assert len(ran) < 50
    return ran


def test_leaders_and_baseline_take_turns_there_and_back_and_the_winner_soaks() -> None:
    plan = dataclasses.replace(PLAN, num_rounds=1)  # of it race twice as many
    ran = play(EXPLORED, {1: 390.0, 4: 400.0, 8: 395.0}, plan)
    assert finals_of(ran) == [4, 8, 1, 1, 8, 4]
    assert ran[-1] == (Stage.SOAK, 4)


def test_a_leader_that_is_beaten_runs_no_more_and_those_that_are_near_run_on() -> None:
    assert finals_of(play(EXPLORED, {1: 100.0, 4: 400.0, 8: 300.0})) == [4, 8, 1, 1, 4]
    near = {1: 100.0, 4: 400.0, 8: 399.0}
    assert finals_of(play(EXPLORED, near, noise=NOISE))[:7] == [4, 8, 1, 1, 8, 4, 4]
    # Processes that always differ by as much are told apart by two rounds.
    assert finals_of(play(EXPLORED, near | {8: 386.0})) == [4, 8, 1, 1, 8, 4]


def test_a_further_round_begins_only_with_time_for_all_of_it() -> None:
    near = {1: 100.0, 4: 400.0, 8: 399.0}
    for affordable, ran in [(8, [4, 8, 1, 1, 8, 4]), (9, [4, 8, 1, 1, 8, 4, 4])]:
        assert ran_finals(EXPLORED, PLAN, affordable, near, noise=NOISE)[:7] == ran


def test_what_learns_fastest_comes_first_and_of_the_others_the_fastest_alone() -> None:
    learner = config(2)
    leaders = finals.pick_leaders(EXPLORED, PLAN, Objective.LEARNING, BASELINE, learner)
    assert [one["num_envs"] for one in leaders] == [2, 4, 1]
    alone = finals.next_step(
        EXPLORED,
        PLAN,
        Objective.LEARNING,
        BASELINE,
        learner=learner,
        affordable=Affordable(num=4, num_needed=4),
    )
    assert alone == (Stage.FINAL, learner)


def test_what_learns_fastest_soaks_though_another_steps_faster() -> None:
    learner, trials, ran = config(2), list(EXPLORED), []
    while (
        step := finals.next_step(trials, PLAN, Objective.LEARNING, BASELINE, learner=learner)
    ) is not None:
        ran.append(step)
        trials.append(measured(step[1]["num_envs"], 100.0 * step[1]["num_envs"], stage=step[0]))
    assert ran[-1] == (Stage.SOAK, learner)


def test_what_learns_fastest_is_soaked_where_there_is_no_time_for_its_final() -> None:
    learner, trials, ran = config(16), list(EXPLORED), []
    while (
        step := finals.next_step(
            trials,
            PLAN,
            Objective.LEARNING,
            BASELINE,
            learner=learner,
            affordable=Affordable(num=0, num_needed=0),
        )
    ) is not None:
        ran.append(step)
        trials.append(measured(step[1]["num_envs"], 80.0, stage=step[0]))
    assert ran == [(Stage.SOAK, learner)]
    chosen = choose_candidates(trials, Objective.LEARNING, learner, baseline=BASELINE)
    assert chosen[Kind.LEARNING].promised == 80.0
    assert not chosen[Kind.LEARNING].confirmed


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


def test_the_best_of_each_machine_is_measured_again() -> None:
    fast = [measured(n, 400.0 - n) for n in (4, 8, 16)]
    slow = [dataclasses.replace(measured(n, 200.0 + n), source="b/journal.log") for n in (2, 32)]
    leaders = finals.pick_leaders([*fast, *slow], PLAN, Objective.THROUGHPUT, BASELINE)
    assert [leader["num_envs"] for leader in leaders] == [4, 8, 32]


def test_the_best_on_each_number_of_gpus_is_measured_again() -> None:
    trials = [
        dataclasses.replace(measured(n, speed), config={"num_envs": n, "num_devices": number})
        for n, number, speed in [(8, 4, 390.0), (4, 4, 380.0), (2, 4, 370.0), (8, 2, 200.0)]
    ]
    trials += [dataclasses.replace(trials[0], config={"num_envs": 1, "num_devices": 1})]
    leaders = finals.pick_leaders(trials, PLAN, Objective.THROUGHPUT, trials[0].config)
    assert {leader["num_devices"] for leader in leaders} == {1, 2, 4}


@pytest.mark.parametrize(
    ("soaks", "num_affordable", "ran"),
    [
        ([395.0], 9, 1),
        ([250.0, 395.0], 9, 2),
        ([250.0, 250.0], 9, 2),
        ([250.0, 395.0], 0, 1),
    ],
)
def test_a_soak_that_contradicts_the_finals_is_run_again_once_while_there_is_time(
    soaks: list[float], num_affordable: int, ran: int
) -> None:
    trials = [*EXPLORED, *(measured(4, 400.0, stage=Stage.FINAL) for _ in range(2))]
    plan = FinalsPlan(num_finalists=1, num_rounds=2, soak_updates=10)
    trials += [measured(1, 100.0, stage=Stage.FINAL) for _ in range(2)]
    for number in range(3):
        step = finals.next_step(
            trials,
            plan,
            Objective.THROUGHPUT,
            BASELINE,
            affordable=Affordable(num=num_affordable, num_needed=num_affordable),
        )
        if step is None:
            break
        assert step == (Stage.SOAK, config(4))
        trials.append(measured(4, soaks[number], stage=Stage.SOAK))
    assert number == ran


def test_nothing_feasible_chooses_nothing_and_runs_nothing() -> None:
    trials = [died(1, Stage.BASELINE), died(2, Stage.SEARCH)]
    assert choose_candidates(trials, Objective.THROUGHPUT) == {}
    assert finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE) is None


def test_without_a_soak_the_finals_are_the_end() -> None:
    plan = FinalsPlan(num_finalists=1, num_rounds=1, soak_updates=0)
    trials = [measured(1, 100.0, stage=Stage.BASELINE), measured(1, 99.0, stage=Stage.FINAL)]
    assert finals.next_step(trials, plan, Objective.THROUGHPUT, BASELINE) is None


def finals_of(ran: list[tuple[Stage, int]]) -> list[int]:
    return [num_envs for stage, num_envs in ran if stage is Stage.FINAL]


def ran_finals(
    trials: list[Trial],
    plan: FinalsPlan,
    num_affordable: int,
    speeds: dict[int, float],
    noise: Sequence[float] = (1.0,),
    *,
    num_cut: int = 0,
) -> list[int]:
    """The leaders that the finals run while the time for them shrinks by one each.

    A soak that is cut short leaves room for `num_cut` more.
    """
    trials, ran = list(trials), []
    while True:
        left = num_affordable - len(ran)
        step = finals.next_step(
            trials,
            plan,
            Objective.THROUGHPUT,
            BASELINE,
            affordable=Affordable(num=left, num_needed=left + num_cut),
        )
        if step is None or step[0] is not Stage.FINAL:
            return ran
        ran.append(step[1]["num_envs"])
        speed = speeds[step[1]["num_envs"]] * noise[len(ran) % len(noise)]
        trials.append(measured(step[1]["num_envs"], speed, stage=step[0]))


@pytest.mark.parametrize(
    ("num_affordable", "ran"),
    [
        (6, [4, 8, 1, 1, 8, 4]),
        (5, [4, 1, 1, 4]),
        (4, [4, 1, 1, 4]),
        (3, [4, 1, 1]),
        (0, []),
    ],
)
def test_short_time_leaves_out_leaders_and_not_rounds(num_affordable: int, ran: list[int]) -> None:
    near = {1: 400.0, 4: 400.0, 8: 400.0}
    assert ran_finals(EXPLORED, PLAN, num_affordable, near) == ran


@pytest.mark.parametrize(
    ("num_affordable", "num_cut", "ran"),
    [
        (3, 0, [4, 1, 1]),
        (3, 1, [4, 1, 1, 4]),
        (1, 3, [4, 1, 1, 4]),
        (5, 1, [4, 1, 1, 4]),  # no soak is cut short for another leader
    ],
)
def test_the_soak_is_cut_short_for_all_rounds_of_the_best_and_the_baseline(
    num_affordable: int, num_cut: int, ran: list[int]
) -> None:
    near = {1: 400.0, 4: 400.0, 8: 400.0}
    assert ran_finals(EXPLORED, PLAN, num_affordable, near, num_cut=num_cut) == ran


def test_a_leader_that_has_begun_runs_on_only_beside_what_is_needed() -> None:
    """Finals take longer than it was thought: three are left, and there is time for two."""
    speeds = {4: 400.0, 8: 395.0, 1: 380.0}
    first = [measured(size, speed, stage=Stage.FINAL) for size, speed in speeds.items()]
    trials = [*EXPLORED, *first]
    ran = []
    for left in (2, 1, 0):
        few = Affordable(num=left, num_needed=left)
        step = finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE, affordable=few)
        assert step is not None
        ran.append((step[0], step[1]["num_envs"]))
        num_envs = step[1]["num_envs"]
        trials.append(measured(num_envs, speeds[num_envs], stage=step[0]))
    assert ran == [(Stage.FINAL, 1), (Stage.FINAL, 4), (Stage.SOAK, 4)]


def test_a_disturbed_final_is_run_again_beside_the_baseline_and_then_stands() -> None:
    plan = FinalsPlan(num_finalists=1, num_rounds=2, soak_updates=0)
    trials, ran = list(EXPLORED), []
    while (step := finals.next_step(trials, plan, Objective.THROUGHPUT, BASELINE)) is not None:
        num_envs = step[1]["num_envs"]
        ran.append(num_envs)
        trials.append(measured(num_envs, 100.0 * num_envs, stage=step[0], disturbed=num_envs == 4))
        assert len(ran) < 20
    # Twice the rounds, as all finals of the winner were disturbed; and disturbed ones are run again
    # as often as there are leaders.
    assert ran.count(1) == 2 * 2
    assert ran.count(4) == 2 * 2 + 2


def test_a_disturbed_final_is_run_again_after_the_others_of_its_round() -> None:
    trials, ran = list(EXPLORED), []
    while (step := finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE)) is not None:
        num_envs = step[1]["num_envs"]
        is_disturbed = num_envs == 4 and ran.count(4) == 0
        ran.append(num_envs)
        speed = {1: 100.0, 4: 400.0, 8: 395.0}[num_envs]
        trials.append(measured(num_envs, speed, stage=step[0], disturbed=is_disturbed))
    assert ran[:7] == [4, 8, 1, 4, 1, 8, 4]


def test_on_a_machine_that_is_never_quiet_the_finals_end() -> None:
    trials, ran = list(EXPLORED), 0
    while (step := finals.next_step(trials, PLAN, Objective.THROUGHPUT, BASELINE)) is not None:
        ran += step[0] is Stage.FINAL
        trials.append(measured(step[1]["num_envs"], 100.0, stage=step[0], disturbed=True))
        assert ran < 50
    assert ran == 2 * 3 * PLAN.num_rounds + 3  # nothing is told apart there


def test_a_lost_final_is_run_again() -> None:
    lost = factories.failed(OutcomeKind.NODE_LOST, "killed.")
    sizes = factories.trial().config
    explored = factories.trial(number=0, stage=Stage.BASELINE)
    final = factories.trial(number=1, stage=Stage.FINAL)
    killed = factories.trial(number=2, stage=Stage.FINAL, outcome=lost)
    plan = FinalsPlan(num_finalists=1, num_rounds=2, soak_updates=0)
    step = finals.next_step((explored, final, killed), plan, Objective.THROUGHPUT, sizes)
    assert step == (Stage.FINAL, sizes)
    again = factories.trial(number=3, stage=Stage.FINAL)
    assert (
        finals.next_step((explored, final, killed, again), plan, Objective.THROUGHPUT, sizes)
        is None
    )
