"""The judgement over trainings from scratch: seconds to the target, or returns after one time."""

import dataclasses
import math

import pytest

from factories import measurement, outcome, trial
from learners import numbered, trained
from trainables.measurement import OutcomeKind
from tune.search.learned import LearningPlan
from tune.search.learning import judge, log_seconds
from tune.search.trainings import seed_of
from tune.search.trial import Stage, Trial

A, B, C = ({"num_envs": n} for n in (1, 2, 4))
PLAN = LearningPlan(target=100.0, training_s=20.0)
NO_TARGET = LearningPlan(training_s=20.0)


def judged(trials: list[Trial], plan: LearningPlan = PLAN):  # type: ignore[no-untyped-def]
    found = judge(numbered(trials), plan)
    assert found is not None
    return found


def test_the_sooner_at_the_target_is_the_best_whatever_steps_faster() -> None:
    found = judged([trained(A, 4.0, speed=10.0), trained(B, 16.0, speed=1000.0)])
    assert found.best.config == A
    assert found.by_target
    assert found.best.typical_s == pytest.approx(4.0)
    assert found.sooner(found.best, found.learned[1])[0] == pytest.approx(4.0)


def test_seconds_are_a_geometric_mean_over_seeds() -> None:
    found = judged([trained(A, 2.0), trained(A, 8.0)])
    assert found.best.typical_s == pytest.approx(4.0)
    assert found.best.seconds == pytest.approx((2.0, 8.0))


def test_more_seeds_make_the_error_smaller_and_seeds_that_differ_make_it_larger() -> None:
    one, three = judged([trained(A, 4.0)]), judged([trained(A, 4.0)] * 3)
    wild = judged([trained(A, 1.0), trained(A, 4.0), trained(A, 16.0)])
    assert three.best.error < one.best.error
    assert wild.best.error > 2 * three.best.error


def test_a_seed_that_did_not_reach_the_target_counts_as_longer_than_its_time() -> None:
    found = judged([trained(A, 5.0), trained(B, 5.0), trained(B, 50.0)])
    b = found.of(B)
    assert b is not None
    assert b.seconds == (pytest.approx(5.0), None)
    assert b.typical_s is None
    assert b.value == pytest.approx(-(math.log(5.0) + math.log(2 * 20.0)) / 2)


def test_seeds_that_all_missed_the_target_say_nothing_of_how_others_differ() -> None:
    reached = [trained(A, 2.0), trained(A, 8.0)]
    missed = [trained({"num_envs": 8 * n}, 50.0) for n in (1, 2, 4) for _ in range(2)]
    assert judged(reached + missed).best.error == judged(reached).best.error


def test_those_with_more_seeds_come_before_a_lucky_one() -> None:
    found = judged([trained(A, 4.0)] * 3 + [trained(B, 3.0)])
    assert found.best.config == A


def test_of_those_that_cannot_be_told_apart_and_are_close_the_faster_is_the_best() -> None:
    near = judged([trained(A, 4.0, speed=10.0), trained(B, 4.02, speed=10.1)])
    assert near.best.config == B
    assert [one.config for one in near.tied] == [A]
    far = judged([trained(A, 4.0, speed=10.0), trained(B, 5.0, speed=10.1)])
    assert far.best.config == A
    assert [one.config for one in far.tied] == [B]  # said, and no reason to take it


def test_seeds_that_agree_tell_apart_what_one_seed_cannot() -> None:
    found = judged([trained(A, 4.0)] * 6 + [trained(B, 8.0)] * 6)
    assert found.best.config == A
    assert not found.tied


def test_compilation_is_spread_over_the_planned_training() -> None:
    short = LearningPlan(target=100.0, training_s=20.0, planned_s=100.0)
    trials = [trained(A, 4.0, compile_s=200.0), trained(B, 8.0)]
    assert judged(trials, short).best.config == B  # 4 s and two thirds of the run to compile
    assert judged(trials, PLAN).best.config == A


def test_without_a_target_what_compiles_long_trains_shorter() -> None:
    short = LearningPlan(training_s=20.0, planned_s=100.0)
    trials = [trained(A, 40.0, compile_s=100.0), trained(B, 40.0)]
    found = judged(trials, short)
    assert found.best.config == B
    a = found.of(A)
    assert a is not None
    assert a.finals == pytest.approx((22.5,), abs=1.0)  # of ten seconds, in place of twenty
    assert a.areas == pytest.approx((12.5,), abs=1.0)


@pytest.mark.parametrize("plan", [NO_TARGET, LearningPlan(target=1000.0, training_s=20.0)])
def test_without_a_target_or_far_from_it_the_return_after_the_same_time_counts(
    plan: LearningPlan,
) -> None:
    found = judged([trained(A, 10.0, top=50.0), trained(B, 40.0)], plan)
    assert not found.by_target
    assert found.best.config == A
    assert found.best.finals == pytest.approx((50.0,))
    b = found.of(B)
    assert b is not None
    assert b.finals == pytest.approx((45.0,), abs=1.0)  # the mean of the last fifth of 20 s
    assert b.areas == pytest.approx((25.0,), abs=1.0)
    assert math.isinf(found.best.error)  # one seed each tells nothing of seeds


def test_returns_below_zero_are_compared_like_others() -> None:
    found = judged([trained(A, 10.0, top=-50.0), trained(B, 10.0, top=-5.0)], NO_TARGET)
    assert found.best.config == B


def test_disturbed_and_failed_trainings_do_not_count() -> None:
    died = outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None)
    found = judged(
        [
            trained(A, 1.0, disturbed=True),
            trained(A, 6.0),
            trained(B, 2.0),
            trial(stage=Stage.LEARN, config=B, outcome=died),
            trained(C, 8.0),
        ]
    )
    assert [one.config for one in found.learned] == [A, C]
    assert found.best.seconds == (pytest.approx(6.0),)


def test_no_seed_counts_twice_where_another_configuration_failed() -> None:
    died = outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None)
    disturbed = [trained(one, 5.0, disturbed=True) for one in (A, C, B, B)]
    failed = trial(stage=Stage.LEARN, config={"num_envs": 8}, outcome=died)
    trials = numbered([disturbed[0], failed, *disturbed[1:], trained(B, 5.0)])
    assert [seed_of(trials, one) for one in trials if one.config == B] == [0, 0, 0]
    b = judged(trials).of(B)
    assert b is not None
    assert b.num_seeds == 1


def test_a_disturbed_training_stands_for_its_configuration_where_nothing_else_is_known() -> None:
    disturbed = [trained(A, s, disturbed=True) for s in (4.0, 5.0)]
    died = trial(
        stage=Stage.LEARN,
        config=C,
        outcome=outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None),
    )
    found = judged([trained(B, 9.0), trained(C, 1.0, disturbed=True), died, *disturbed])
    assert [one.config for one in found.learned] == [A, B]
    assert found.best.seconds == (pytest.approx(5.0),)  # one of two that have the same seed


def test_there_is_no_judgement_before_a_return_is_known() -> None:
    assert judge([], PLAN) is None
    assert judge([trial(stage=Stage.LEARN, config=A)], PLAN) is None  # it has no curve
    assert judge([trial(stage=Stage.FINAL, config=A)], PLAN) is None


@pytest.mark.parametrize("target", [100.0, None])
def test_the_models_seconds_are_those_on_the_way_to_what_is_to_be_learned(
    target: float | None,
) -> None:
    found = judged([trained(A, 5.0), trained(B, 8.0)], NO_TARGET)
    first, second = log_seconds([found.of(A), found.of(B)], target)
    assert second - first == pytest.approx(math.log(1.6), abs=0.05)


def test_a_seed_that_came_near_tells_more_than_that_it_did_not_arrive() -> None:
    found = judged([trained(A, 5.0, top=99.0), trained(B, 5.0, top=40.0), trained(C, 5.0)])
    near, far, there = log_seconds([found.of(config) for config in (A, B, C)], 100.0)
    assert there < near < far
    # One of six levels was missed, at twice the 20 s that the training had; else all six.
    assert near == pytest.approx(there + math.log(2 * 20.0 / 5.0) / 6, abs=0.02)
    assert far == pytest.approx(math.log(2 * 20.0))


@pytest.mark.parametrize("target", [-50.0, -5.0])
def test_a_training_that_starts_beyond_the_target_took_the_seconds_to_its_first_point(
    target: float,
) -> None:
    found = judged([trained(A, 5.0)], NO_TARGET)
    assert log_seconds(found.learned, target) == pytest.approx([math.log(20.0 / 100)])


@pytest.mark.parametrize(
    ("plan", "seconds"),
    [
        (LearningPlan(training_s=7.0), 7.0),
        (LearningPlan(num_first=4, num_seeds=2), 1200.0 / 6),
        (LearningPlan(num_first=4, num_seeds=2, target=1.0), 2 * 1200.0 / 6),
        (LearningPlan(num_first=400), 10.0),
    ],
)
def test_a_training_is_as_long_as_was_said_or_as_exploring_allows(
    plan: LearningPlan, seconds: float
) -> None:
    explored = [trial(outcome=outcome(wall_s=300.0)) for _ in range(4)]
    other = trial(stage=Stage.FINAL, outcome=outcome(wall_s=999.0))
    assert plan.longest_s([*explored, other]) == pytest.approx(seconds)


def test_what_comes_to_its_total_of_steps_soonest_does_not_learn_fastest_by_that() -> None:
    """Seen: both seeds of the winner ended by themselves after 4 s, and missed the target."""
    ended = [trained(A, 60.0, until_s=4.0), trained(A, 60.0, until_s=4.2)]
    reached = [trained(B, 9.0), trained(B, 60.0)]
    found = judged([*ended, *reached])
    assert found.best.config == B
    a = found.of(A)
    assert a is not None
    assert a.value == pytest.approx(-math.log(2 * 20.0))
    assert a.waited_s == pytest.approx(4.2)
    first, second = log_seconds([a, found.best], 100.0)
    assert second < first


def test_a_seed_that_missed_the_target_costs_twice_its_time_and_no_more() -> None:
    def with_a_miss(seconds: float) -> list[Trial]:
        return [*([trained(A, seconds)] * 2), trained(A, 60.0), *([trained(B, 6.0)] * 3)]

    assert judged(with_a_miss(1.0)).best.config == A
    assert judged(with_a_miss(5.0)).best.config == B
    assert judged(with_a_miss(5.0)).learned[1].num_missed == 1


@pytest.mark.parametrize(("seeds", "wins"), [((4.0, 4.1, 4.2), False), ((2.0, 2.1, 2.0), True)])
def test_what_seeds_do_not_tell_apart_is_told_by_others_like_it(
    seeds: tuple[float, ...], wins: bool
) -> None:
    """What was a little sooner than others is not the best where what is like it is far later."""
    trials = [trained(config, s) for config, s in ((A, 4.4), (B, 4.4)) for _ in range(3)]
    late = [trained({"num_envs": 64}, 18.0), trained({"num_envs": 128}, 19.0)] * 3
    found = judged([*trials, *late, *(trained({"num_envs": 32}, s) for s in seeds)])
    assert (found.best.config == {"num_envs": 32}) is wins


def test_a_program_that_exploring_compiled_has_its_compilation_too() -> None:
    short = LearningPlan(target=100.0, training_s=20.0, planned_s=100.0)
    explored = trial(config=A, outcome=outcome(measurement=measurement(compile_s=200.0)))
    found = judged([explored, trained(A, 4.0, compile_s=0.1), trained(B, 8.0)], short)
    assert found.best.config == B


@pytest.mark.parametrize(("first", "seconds"), [("1", (4.4, 4.2 / 0.95)), ("0", (4.4 * 0.95, 4.2))])
def test_trainings_side_by_side_are_compared_as_if_on_the_gpu_of_the_first(
    first: str, seconds: tuple[float, float]
) -> None:
    def on(gpu: str, one: Trial) -> Trial:
        assert one.outcome is not None
        return dataclasses.replace(one, outcome=dataclasses.replace(one.outcome, gpus=(gpu,)))

    def explored(stage: Stage, gpu: str, speed: float) -> Trial:
        told = outcome(measurement=measurement(steps_per_second=speed))
        return on(gpu, trial(stage=stage, config=C, outcome=told))

    baselines = [explored(Stage.BASELINE, "0", 1000.0), explored(Stage.GPU, "1", 950.0)]
    trainings = [on("1", trained(A, 4.4)), on("0", trained(B, 4.2))]
    if first == "0":
        trainings.reverse()
    found = judged([*baselines, *trainings])
    assert found.of(A).typical_s == pytest.approx(seconds[0])
    assert found.of(B).typical_s == pytest.approx(seconds[1])
