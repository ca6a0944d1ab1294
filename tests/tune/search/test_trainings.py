"""The trainings of a search: which configuration is next, its seed, and its gates."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from factories import outcome, trial
from learners import TOP, learning_s, numbered, train, trained
from search_spaces.config import config_key
from search_spaces.expression import parse_expression
from search_spaces.shard import Shard
from search_spaces.space import Axis, SearchSpace
from simulated_search import (
    BASELINE,
    BUDGET,
    SHORT_FINALS,
    SPACE,
    Clock,
    machine,
    make,
    need_bytes,
    speed,
)
from trainables.measurement import Outcome, OutcomeKind
from tune.search import trainings
from tune.search.finals import FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.learning import judge
from tune.search.objective import Objective
from tune.search.policy import Search
from tune.search.problem import Explored, SearchProblem
from tune.search.progress import SEED_SD
from tune.search.result import Kind, winner_of
from tune.search.rounds import counted
from tune.search.trial import EXPLORING, Scored, Stage, Trial

PLAN = LearningPlan(target=TOP, num_first=8)
OTHER = BASELINE | {"num_envs": 1024}
FOUR = (256, 512, 1024, 2048)
"""Sizes of num_envs, the baseline's first."""

EXPLORED = trial(config=OTHER)


def drive(
    search: Search, *, clock: Clock | None = None, trial_s: float | None = None
) -> list[Trial]:
    """Run a search to its end on a machine whose speeds and learning are known.

    All but trainings take `trial_s`, or what the machine says.
    """
    ran = []
    while (asked := search.ask()) is not None:
        training = search.training_of(asked)
        rate = speed(asked.config)
        made = machine(asked) if training is None else train(asked.config, training, rate)
        if training is None and trial_s is not None:
            made = dataclasses.replace(made, wall_s=trial_s)
        if clock is not None:
            clock.now += made.wall_s
        ran.append(search.tell(asked, made))
    return ran


def of_stage(trials: list[Trial], stage: Stage) -> list[Trial]:
    return [one for one in trials if one.stage is stage]


def test_exploring_then_trainings_then_finals_then_soak(tmp_path: Path) -> None:
    ran = drive(make(tmp_path, objective=Objective.LEARNING, learning=PLAN))
    stages = [one.stage for one in ran if one.stage not in EXPLORING]
    order = [Stage.LEARN, Stage.FINAL, Stage.SOAK]
    assert stages == sorted(stages, key=order.index)
    assert set(stages) == set(order)
    fastest = max((t for t in ran if t.stage in EXPLORING and t.measurement), key=speed_of)
    trained_first = of_stage(ran, Stage.LEARN)
    assert trained_first[0].config == BASELINE
    assert trained_first[1].config == fastest.config


def speed_of(one: Trial) -> float:
    return speed(one.config)


def test_what_learns_fastest_is_found_though_it_was_never_explored(tmp_path: Path) -> None:
    search = make(tmp_path, objective=Objective.LEARNING, learning=PLAN, max_runs=8)
    ran = drive(search)
    chosen = search.result(partial=False).chosen
    fits = [c for c in SPACE.configurations() if need_bytes(c) <= BUDGET]
    best_s = min(learning_s(c, speed(c)) for c in fits)
    assert learning_s(chosen[Kind.LEARNING].config, speed(chosen[Kind.LEARNING].config)) <= (
        1.3 * best_s
    )
    fastest = chosen[Kind.FASTEST].config
    assert learning_s(fastest, speed(fastest)) > 2 * best_s
    explored = {config_key(t.config) for t in ran if t.stage in EXPLORING}
    assert config_key(chosen[Kind.LEARNING].config) not in explored
    assert of_stage(ran, Stage.SOAK)[0].config == chosen[Kind.LEARNING].config
    finals = {config_key(t.config) for t in of_stage(ran, Stage.FINAL)}
    assert finals >= {config_key(c) for c in (chosen[Kind.LEARNING].config, fastest, BASELINE)}


def test_the_best_learners_train_with_all_seeds_and_further_ones_in_the_time_left(
    tmp_path: Path,
) -> None:
    search = make(tmp_path, objective=Objective.LEARNING, learning=PLAN)
    ran = of_stage(drive(search), Stage.LEARN)
    times = {}
    for one in ran:
        times.setdefault(config_key(one.config), []).append(trainings.seed_of(search.trials, one))
    assert all(seeds == list(range(len(seeds))) for seeds in times.values())
    rounds = sorted(map(len, times.values()), reverse=True)
    assert rounds[1] >= PLAN.num_seeds
    assert rounds[0] <= 2 * PLAN.num_seeds
    assert rounds[2] <= PLAN.num_seeds
    assert len(times) == PLAN.num_first
    explored_s = sum(t.outcome.wall_s for t in search.trials if t.outcome and t.stage in EXPLORING)
    before_the_last = sum(t.outcome.wall_s for t in ran[:-1] if t.outcome)
    assert PLAN.num_trainings < len(ran)
    assert before_the_last < explored_s


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [
        ((4.0, 4.2), True),  # not to be told apart
        ((4.0, 19.0), False),  # well apart
    ],
)
@pytest.mark.parametrize("is_over", [False, True])
def test_the_best_and_its_rival_train_on_while_they_are_not_told_apart_and_there_is_time(
    seconds: tuple[float, float], asked: bool, is_over: bool
) -> None:
    trials = numbered([trained(c, s) for c, s in zip((BASELINE, OTHER), seconds, strict=True)] * 3)
    spent_s = sum(one.outcome.wall_s for one in trials if one.outcome)
    plan = LearningPlan(target=TOP, num_first=2, training_s=(spent_s + (not is_over)) / 6)
    found = next_of(trials, fastest=OTHER, plan=plan)
    assert (found is not None) == (asked and not is_over)
    one_runs = [*trials, trial(number=99, stage=Stage.LEARN, config=BASELINE, outcome=None)]
    more_time = LearningPlan(target=TOP, num_first=2, training_s=99.0)
    assert next_of(one_runs, fastest=OTHER, plan=more_time) == (OTHER if asked else None)


def test_where_one_seed_was_asked_for_there_is_no_second() -> None:
    """Seen of a command without {seed}: it trained again by the same, and that was "2 seeds"."""
    plan = LearningPlan(target=TOP, num_first=2, num_seeds=1, training_s=999.0)
    trials = numbered([trained(BASELINE, 4.0), trained(OTHER, 4.2)])
    assert next_of(trials, fastest=OTHER, plan=plan) is None
    two = dataclasses.replace(plan, num_seeds=2)
    assert next_of(trials, fastest=OTHER, plan=two) is not None


@pytest.mark.parametrize(
    ("num_first", "num_seeds", "rounds"),
    [(8, 3, (8, 4, 2)), (8, 1, (8,)), (6, 4, (6, 3, 2, 2)), (5, 2, (5, 2)), (2, 3, (2, 2, 2))],
)
def test_a_round_is_one_seed_more_for_half_as_many(
    num_first: int, num_seeds: int, rounds: tuple[int, ...]
) -> None:
    plan = LearningPlan(num_first=num_first, num_seeds=num_seeds)
    assert plan.rounds == rounds
    assert plan.num_trainings == sum(rounds)


def test_the_half_that_looks_best_goes_on_and_no_round_begins_before_the_last_ended() -> None:
    plan = LearningPlan(target=TOP, num_first=4, num_seeds=3)
    seconds = dict(zip(FOUR, (4.0, 5.0, 6.0, 20.0), strict=True))
    trials = [trained(BASELINE | {"num_envs": n}, s) for n, s in seconds.items()]
    order = []
    while (asked := next_of(numbered(trials), fastest=None, plan=plan)) is not None:
        order.append(asked["num_envs"])
        trials.append(trained(asked, seconds[order[-1]]))
    assert order == [FOUR[0], FOUR[1], FOUR[0], FOUR[1]]


def test_an_unlucky_seed_of_the_second_round_lets_another_pass() -> None:
    plan = LearningPlan(target=TOP, num_first=4, num_seeds=3)
    configs = [BASELINE | {"num_envs": num_envs} for num_envs in FOUR]
    first = [trained(c, s) for c, s in zip(configs, (4.0, 5.0, 6.0, 20.0), strict=True)]
    second = [trained(configs[0], 99.0), trained(configs[1], 5.0)]
    assert next_of(numbered([*first, *second]), fastest=None, plan=plan) == configs[1]


@pytest.mark.parametrize(
    ("tops", "asked"),
    [
        (
            ((90.0, 110.0), (88.0, 108.0)),
            True,
        ),  # not to be told apart, and 10 % of what was learned
        (((100.0, 100.0), (99.0, 99.0)), False),  # every seed gave the same
        (((400.0, 401.0), (399.0, 401.0)), False),  # apart by a 400th of what was learned
        (((0.0, 0.0), (0.0, 0.0)), False),  # nothing was learned
    ],
)
def test_without_a_target_a_gain_is_a_share_of_what_was_learned(
    tops: tuple[tuple[float, float], ...], asked: bool
) -> None:
    plan = LearningPlan(num_first=2, num_seeds=2, training_s=99.0)
    trials = numbered(
        [
            trained(config, 10.0, top=top)
            for config, own in zip((BASELINE, OTHER), tops, strict=True)
            for top in own
        ]
    )
    assert (next_of(trials, fastest=OTHER, plan=plan) is not None) == asked


def test_a_disturbed_training_is_run_again_with_the_same_seed() -> None:
    trials = numbered([trained(BASELINE, 5.0, disturbed=True), trained(BASELINE, 5.0)])
    assert [trainings.seed_of(trials, one) for one in trials] == [0, 0]
    after = trial(number=2, stage=Stage.LEARN, config=BASELINE, outcome=None)
    assert trainings.seed_of([*trials, after], after) == 1


@pytest.mark.parametrize("num_beside", [1, 5])
@pytest.mark.parametrize(
    "is_disturbed", [lambda number: True, lambda number: number % 3 > 0, lambda number: number % 2]
)
def test_on_a_noisy_machine_no_seed_of_a_configuration_counts_twice(
    tmp_path: Path, is_disturbed: Callable[[int], bool], num_beside: int
) -> None:
    plan = dataclasses.replace(SHORT_FINALS, order="together")
    search = make(
        tmp_path,
        objective=Objective.LEARNING,
        learning=PLAN,
        plan=plan,
        num_parallel=num_beside,
    )
    running: list[tuple[Trial, Outcome]] = []
    seeds: dict[int, int] = {}
    while True:
        asked = search.ask() if len(running) < num_beside else None
        if asked is not None:
            made, training = machine(asked), search.training_of(asked)
            if training is not None:
                seeds[asked.number] = training.seed
                made = train(asked.config, training, speed(asked.config))
                assert made.measurement is not None
                measured = dataclasses.replace(
                    made.measurement, disturbed=bool(is_disturbed(asked.number))
                )
                made = dataclasses.replace(made, measurement=measured)
            running.append((asked, made))
        elif running:
            search.tell(*running.pop(0))
        else:
            break
    configs = {config_key(t.config): t.config for t in search.trials if t.stage is Stage.LEARN}
    assert len(configs) == PLAN.num_first
    count = counted(search.trials, Stage.LEARN, list(configs.values()))
    had = [[seeds[one.number] for one in own] for own in count.values()]
    assert [len(set(own)) for own in had] == [len(own) for own in had]
    judgement = judge(search.trials, PLAN)
    assert judgement is not None
    assert {config_key(one.config) for one in judgement.learned} == set(configs)


def test_a_training_that_counts_does_so_for_good_whatever_trains_after_it() -> None:
    """Seen on a busy machine: the baseline trained twice, and in the end it "was not trained"."""
    trials = numbered(
        [trained(BASELINE, 4.0, disturbed=True) for _ in range(2)]
        + [trained(BASELINE | {"num_envs": n}, 9.0, disturbed=True) for n in FOUR[1:]]
    )
    for number in (2, 3, 4, 5):
        count = counted(trials[:number], Stage.LEARN, [one.config for one in trials[:number]])
        assert [one.number for one in count[config_key(BASELINE)]] == [1]


def test_a_disturbed_training_is_run_again_where_it_is_among_those_that_go_on() -> None:
    plan = LearningPlan(target=TOP, num_first=4, num_seeds=2)
    seconds = dict(zip(FOUR, (5.0, 4.0, 6.0, 20.0), strict=True))
    trials = [
        trained(BASELINE | {"num_envs": n}, s, disturbed=n in {FOUR[1], FOUR[3]})
        for n, s in seconds.items()
    ]
    order = []
    while (asked := next_of(numbered(trials), fastest=None, plan=plan)) is not None:
        order.append(asked["num_envs"])
        trials.append(trained(asked, seconds[order[-1]]))
    assert sorted(order) == [FOUR[0], FOUR[1], FOUR[1]]
    own = [one for one in numbered(trials) if one.config["num_envs"] == FOUR[1]]
    assert [trainings.seed_of(numbered(trials), one) for one in own] == [0, 0, 1]


def test_a_disturbed_baseline_is_run_again_after_all_others_had_their_first_training() -> None:
    """Seen on a busy machine: of four trainings that there was time for, three were of it."""
    plan = LearningPlan(target=TOP, num_first=2, num_seeds=2)
    trials = [trained(BASELINE, 5.0, disturbed=True)]
    order = []
    while len(order) < 2 and (asked := next_of(numbered(trials), fastest=OTHER, plan=plan)):
        order.append(asked)
        trials.append(trained(asked, 9.0))
    assert order == [OTHER, BASELINE]
    assert [trainings.seed_of(numbered(trials), one) for one in numbered(trials)] == [0, 0, 0]


def test_a_training_that_was_lost_is_run_again() -> None:
    lost = trial(
        number=1,
        stage=Stage.LEARN,
        config=OTHER,
        outcome=outcome(kind=OutcomeKind.NODE_LOST, measurement=None),
    )
    trials = [trained(BASELINE, 5.0), lost]
    assert next_of(trials, fastest=None) == OTHER
    again = dataclasses.replace(lost, number=2)
    assert next_of([*trials, again, dataclasses.replace(again, number=3)], fastest=None) != OTHER


def test_what_died_in_its_training_is_not_trained_again() -> None:
    died = trial(
        number=0,
        stage=Stage.LEARN,
        config=BASELINE,
        outcome=outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None),
    )
    other = dict(next(SPACE.configurations()))
    assert next_of([died], fastest=other) == other


def next_of(
    trials: list[Trial],
    *,
    fastest: dict[str, int] | None,
    plan: LearningPlan = PLAN,
    space: SearchSpace = SPACE,
    scored: tuple[Scored, ...] = (),
) -> dict[str, int] | None:
    problem = SearchProblem(space=space, baseline=BASELINE, device_budget_bytes=None)
    known = Explored(problem=problem, scored=scored, min_gain=0.02)
    return trainings.next_training(trials, plan, known, fastest, np.random.default_rng(0))


def test_a_baseline_that_did_not_run_is_not_trained() -> None:
    died = trial(config=BASELINE, outcome=outcome(kind=OutcomeKind.HOST_MEMORY, measurement=None))
    assert next_of([died], fastest=OTHER) == OTHER
    assert next_of([died], fastest=None) is None


@pytest.mark.parametrize(("num_trained", "goes_on"), [(5, True), (6, False)])
def test_there_are_no_more_trainings_than_planned(num_trained: int, goes_on: bool) -> None:
    plan = LearningPlan(target=TOP, num_first=2, num_seeds=3)
    both = [trained(BASELINE, 5.0), trained(OTHER, 5.0)] * 3
    asked = next_of(numbered(both[:num_trained]), fastest=OTHER, plan=plan)
    assert (asked is not None) == goes_on


@pytest.mark.parametrize("num_first", [2, 3])
def test_so_many_configurations_train_with_one_seed(num_first: int) -> None:
    plan = LearningPlan(target=TOP, num_first=num_first)
    both = numbered([trained(BASELINE, 5.0), trained(OTHER, 5.0)])
    asked = next_of(both, fastest=OTHER, plan=plan, scored=(Scored(EXPLORED, 1000.0),))
    assert (asked in (BASELINE, OTHER)) == (num_first == 2)


def test_what_died_while_exploring_is_not_proposed() -> None:
    third = BASELINE | {"num_envs": 512}
    space = SearchSpace(
        axes=tuple(
            Axis(name=name, values=tuple(sorted({c[name] for c in (BASELINE, OTHER, third)})))
            for name in BASELINE
        ),
        requires=(parse_expression("num_steps == 128"),),
    )
    died = trial(config=third, outcome=outcome(kind=OutcomeKind.UNSTABLE, measurement=None))
    both = numbered([trained(BASELINE, 5.0), trained(OTHER, 5.0)])
    for seen, proposed in (
        ((Scored(EXPLORED, 1000.0),), True),
        ((Scored(EXPLORED, 1000.0), Scored(died, None)), False),
    ):
        asked = next_of(both, fastest=OTHER, space=space, scored=seen)
        assert (asked == third) == proposed


@pytest.mark.parametrize(("soonest", "late"), [(2.0, 6.0), (4.0, 12.0), (7.0, None)])
def test_a_training_that_takes_three_times_as_long_as_the_best_is_ended(
    soonest: float, late: float | None
) -> None:
    plan = LearningPlan(target=TOP, training_s=20.0)
    one_seed_may_err = math.exp(SEED_SD)
    request = trainings.request(numbered([trained(BASELINE, soonest)]), plan, 0)
    assert (request.max_s, request.target) == (20.0, TOP)
    assert [gate.seconds for gate in request.gates] == (
        [] if late is None else [pytest.approx(late * one_seed_may_err)]
    )
    assert all(gate.least_return == TOP for gate in request.gates)


def test_without_a_target_it_must_have_what_the_best_had_in_a_third_of_the_time() -> None:
    plan = LearningPlan(training_s=20.0)
    request = trainings.request(
        numbered([trained(BASELINE, 20.0), trained(BASELINE, 25.0)]), plan, 0
    )
    assert [gate.seconds for gate in request.gates] == [5.0, 10.0, 15.0]
    expected = [TOP * s / 3 / 25.0 for s in (5.0, 10.0, 15.0)]  # of the slower seed
    assert [g.least_return for g in request.gates] == pytest.approx(expected, abs=1.0)


def test_the_first_training_has_no_gates() -> None:
    assert trainings.request([], LearningPlan(training_s=20.0), 0).gates == ()


@pytest.mark.parametrize(
    ("training_s", "trial_s", "max_time_s"),
    [
        (60.0, 10.0, 400.0),
        (None, 40.0, 600.0),  # all finals and a whole soak would leave nothing to train in
        (None, 15.0, 300.0),
        (None, 12.0, 180.0),
    ],
)
def test_trainings_leave_time_for_finals_and_finals_for_trainings(
    tmp_path: Path, training_s: float | None, trial_s: float, max_time_s: float
) -> None:
    clock, plan = Clock(), LearningPlan(training_s=training_s)
    search = make(
        tmp_path,
        objective=Objective.LEARNING,
        learning=plan,
        plan=SHORT_FINALS if training_s else FinalsPlan(),
        clock=clock,
        max_time_s=max_time_s,
    )
    ran = drive(search, clock=clock, trial_s=trial_s)
    assert clock.now <= max_time_s
    finals = {config_key(t.config) for t in of_stage(ran, Stage.FINAL)}
    assert len(finals) >= 2  # what learned fastest, and the baseline
    assert 1 <= len(of_stage(ran, Stage.LEARN)) < plan.num_trainings


def test_two_trainings_come_before_the_proof_of_a_speed_though_time_is_short(
    tmp_path: Path,
) -> None:
    """Seen: of 7 minutes a soak of the baseline took three, and nothing was trained."""
    clock = Clock()
    search = make(
        tmp_path,
        objective=Objective.LEARNING,
        learning=LearningPlan(),
        plan=FinalsPlan(),
        clock=clock,
        max_time_s=420.0,
        elapsed_s=60.0,
    )
    ran = drive(search, clock=clock, trial_s=70.0)
    assert len(of_stage(ran, Stage.LEARN)) == 2
    assert len(of_stage(ran, Stage.FINAL)) >= 2
    assert clock.now <= 360.0


@pytest.mark.parametrize(("max_time_s", "num_finals"), [(120.0, 0), (150.0, 1)])
def test_what_learns_fastest_is_soaked_and_is_no_faster_for_that(
    tmp_path: Path, max_time_s: float, num_finals: int
) -> None:
    """Seen: what learned fastest was never explored, and there was no time for its final. So the
    baseline, the fastest, was soaked, and no profile was of what learns fastest. And where its
    final was the only one, it "steps fastest, too", at a third of the baseline's speed.
    """
    small = SPACE.override(("num_envs=64,128,256",))
    clock = Clock()
    search = make(
        tmp_path,
        objective=Objective.LEARNING,
        learning=LearningPlan(target=TOP),
        plan=FinalsPlan(),
        space=small,
        clock=clock,
        max_time_s=max_time_s,
    )
    ran = drive(search, clock=clock, trial_s=40.0)
    found = search.result(partial=False)
    assert [t.config for t in of_stage(ran, Stage.LEARN)] == [BASELINE, found.learner]
    assert [t.config for t in of_stage(ran, Stage.FINAL)] == [found.learner] * num_finals
    assert [t.config for t in of_stage(ran, Stage.SOAK)] == [found.learner]
    assert found.chosen[Kind.LEARNING].config == found.learner
    assert found.chosen[Kind.FASTEST].config == BASELINE


def test_no_time_is_kept_for_trainings_before_anything_was_measured(tmp_path: Path) -> None:
    """Seen: the baseline was killed after 51 s of --max-time 6m, and the search was over."""
    clock = Clock()
    search = make(
        tmp_path,
        objective=Objective.LEARNING,
        learning=LearningPlan(),
        clock=clock,
        max_time_s=360.0,
    )
    first = search.ask()
    assert first is not None
    assert search.time_for(first) == 360.0
    clock.now += 100.0
    search.tell(first, outcome(kind=OutcomeKind.TIMEOUT, measurement=None, wall_s=100.0))
    second = search.ask()
    assert second is not None
    clock.now += 10.0
    search.tell(second, machine(second))
    third = search.ask()
    assert third is not None
    assert third.stage is Stage.LEARN  # now it is kept


def test_a_resumed_search_goes_on_where_it_was(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = [
        t.config for t in drive(make(tmp_path / "a", objective=Objective.LEARNING, learning=PLAN))
    ]
    search = make(tmp_path / "b", objective=Objective.LEARNING, learning=PLAN)
    while (asked := search.ask()) is not None and len(search.trials) < len(whole) - 9:
        training, rate = search.training_of(asked), speed(asked.config)
        made = machine(asked) if training is None else train(asked.config, training, rate)
        search.tell(asked, made)
    # The trial that was asked for last is lost; it is asked for again.
    resumed = make(tmp_path / "b", objective=Objective.LEARNING, learning=PLAN, resume=True)
    drive(resumed)
    assert [t.config for t in resumed.trials] == whole


def test_parts_of_a_search_explore_and_the_one_that_knows_them_trains(tmp_path: Path) -> None:
    options = {"objective": Objective.LEARNING, "learning": PLAN}
    for name in ("1", "2", "whole"):
        (tmp_path / name).mkdir()
    for number in (1, 2):
        part = make(tmp_path / str(number), shard=Shard(number=number, count=2), **options)
        assert {one.stage for one in drive(part)} <= EXPLORING
    journals = [tmp_path / name / "journal.log" for name in ("1", "2")]
    whole = make(tmp_path / "whole", known=journals, **options)
    drive(whole)
    assert Kind.LEARNING in whole.result(partial=False).chosen


def test_a_search_that_was_interrupted_before_it_trained_has_the_fastest(tmp_path: Path) -> None:
    search = make(tmp_path, objective=Objective.LEARNING, learning=PLAN)
    asked = search.ask()
    assert asked is not None
    search.tell(asked, machine(asked))
    chosen = search.result(partial=True).chosen
    assert Kind.LEARNING not in chosen
    assert winner_of(chosen, Kind.LEARNING) is Kind.FASTEST
    assert winner_of({}, Kind.LEARNING) is None


def test_where_every_training_dies_the_finals_are_of_speed(tmp_path: Path) -> None:
    search = make(tmp_path, objective=Objective.LEARNING, learning=PLAN)
    ran = []
    while (asked := search.ask()) is not None:
        died = outcome(kind=OutcomeKind.UNSTABLE, measurement=None)
        ran.append(search.tell(asked, died if asked.stage is Stage.LEARN else machine(asked)))
    chosen = search.result(partial=False).chosen
    assert Kind.LEARNING not in chosen
    assert len(of_stage(ran, Stage.LEARN)) <= 2 + PLAN.num_first
    assert of_stage(ran, Stage.SOAK)[-1].config == chosen[Kind.FASTEST].config


def test_what_is_known_not_to_fit_is_not_proposed() -> None:
    trials = numbered([trained(BASELINE, 5.0), trained(OTHER, 5.0)])
    light = {"num_envs": 64, "num_steps": 32, "batch_size": 512}
    runs = [
        trial(config=config, outcome=outcome(predicted_device_bytes=need_bytes(config)))
        for config in (BASELINE, OTHER, light)
    ]
    problem = SearchProblem(space=SPACE, baseline=BASELINE, device_budget_bytes=BUDGET)
    known = Explored(
        problem=problem, scored=tuple(Scored(one, 1000.0) for one in runs), min_gain=0.02
    )
    for seed in range(5):
        rng = np.random.default_rng(seed)
        asked = trainings.next_training(trials, PLAN, known, OTHER, rng)
        assert asked is not None
        assert need_bytes(asked) <= BUDGET
