"""The sentences about learning: what is said is what the trainings told."""

import dataclasses

import pytest

from factories import candidate, outcome, result, trial
from learners import numbered, trained
from search_spaces.config import Config
from trainables.measurement import OutcomeKind
from tune.search.learned import LearningPlan
from tune.search.learning import judge
from tune.search.result import Kind, SearchResult
from tune.search.trial import Stage, Trial
from tune.summary import learning

LEARNER, FASTEST, BASELINE = (
    {"num_envs": n, "num_steps": 128, "batch_size": 256} for n in (16, 256, 64)
)
PLAN = LearningPlan(target=100.0, training_s=20.0)
NO_TARGET = LearningPlan(training_s=20.0)


def searched(
    trials: list[Trial], plan: LearningPlan = PLAN, *, learner: Config = LEARNER
) -> SearchResult:
    own, fastest, baseline = (
        candidate(config=config, steps_per_second=speed)
        for config, speed in ((learner, 100.0), (FASTEST, 134.0), (BASELINE, 120.0))
    )
    told = numbered(trials)
    return result(
        trials=tuple(told),
        chosen={Kind.FASTEST: fastest, Kind.LEARNING: own},
        baseline=baseline,
        judgement=judge(told, plan),
    )


def said(found: SearchResult) -> dict[str, str]:
    return dict(learning.rows(found.chosen[Kind.LEARNING], found))


SEEN = [trained(LEARNER, 4.0)] * 3 + [trained(FASTEST, 16.0)] * 3 + [trained(BASELINE, 60.0)]


def test_the_first_line_says_both() -> None:
    found = searched(SEEN)
    assert learning.headline(found.chosen[Kind.LEARNING], found) == (
        "learns fastest: 16 x 128, 8 minibatches (100 after 4 s of training, 4.00 x sooner than "
        "what steps fastest); steps fastest: 256 x 128, 128 minibatches (+34%)"
    )


@pytest.mark.parametrize(
    ("speed", "disturbed", "said"),
    [
        (100.4, False, " sooner than what steps fastest)"),
        (
            102.0,
            False,
            "; steps faster by no more than noise: 256 x 128, 128 minibatches (0.99 x to 1.05 x)",
        ),
        (104.0, False, "; steps fastest: 256 x 128, 128 minibatches (+4%)"),
        (
            104.0,
            True,
            "; steps fastest: 256 x 128, 128 minibatches, but one of the two was disturbed",
        ),
    ],
)
def test_the_first_line_boasts_of_no_speed_that_is_noise(
    speed: float, disturbed: bool, said: str
) -> None:
    found = searched(SEEN)
    fastest = candidate(config=FASTEST, steps_per_second=speed, disturbed=disturbed)
    found.chosen[Kind.FASTEST] = fastest
    assert learning.headline(found.chosen[Kind.LEARNING], found).endswith(said)


def test_rows_compare_with_the_fastest_and_the_baseline() -> None:
    rows = said(searched(SEEN))
    assert rows["learning"] == (
        "the mean return: 100 after 4 s of training (each seed: 4 s, 4 s, 4 s)"
    )
    fastest = rows["than the fastest"]
    assert fastest.startswith("256 x 128, 128 minibatches: 4.00 x as long (")
    assert rows["than the baseline"] == (
        "64 x 128, 32 minibatches: 1 of 1 seed did not reach 100 in 20 s, 5.00 x as long"
    )
    assert rows["trainings"].startswith(
        "7 trainings from scratch of 3 configurations, each of 20 s at most: "
    )
    assert "not told apart" not in rows


def test_the_fastest_that_trained_stands_in_for_one_that_did_not() -> None:
    other = {"num_envs": 512, "num_steps": 128, "batch_size": 256}
    seen = [trained(LEARNER, 4.0)] * 3 + [trained(other, 16.0, speed=2000.0)] * 3
    found = searched(seen)
    rows = said(found)
    assert rows["than the fastest"] == "256 x 128, 128 minibatches: it was not trained"
    instead = rows["than the fastest that trained"]
    assert instead.startswith("512 x 128, 256 minibatches: 4.00 x as long (")
    assert learning.headline(found.chosen[Kind.LEARNING], found) == (
        "learns fastest: 16 x 128, 8 minibatches (100 after 4 s of training, 4.00 x sooner than "
        "512 x 128, 256 minibatches); steps fastest: 256 x 128, 128 minibatches (+34%)"
    )


def test_nothing_stands_in_where_the_learner_is_the_fastest_that_trained() -> None:
    rows = said(searched([trained(LEARNER, 4.0, speed=2000.0), trained(BASELINE, 60.0)]))
    assert "than the fastest that trained" not in rows


def test_what_seeds_cannot_tell_apart_is_said() -> None:
    rows = said(searched([trained(LEARNER, 4.0), trained(FASTEST, 6.0), trained(BASELINE, 5.0)]))
    assert rows["not told apart"].startswith("by 1 seed: ")
    assert "not told apart by these seeds: " in rows["than the fastest"]


def test_the_fastest_may_learn_fastest_too() -> None:
    found = searched([trained(FASTEST, 4.0)], learner=FASTEST)
    assert learning.headline(found.chosen[Kind.LEARNING], found).endswith(
        "and it steps fastest, too"
    )
    assert "than the fastest" not in said(found)


def test_without_a_target_it_is_the_return_after_the_same_time() -> None:
    found = searched([trained(LEARNER, 10.0)] * 2 + [trained(FASTEST, 40.0)] * 2, NO_TARGET)
    rows = said(found)
    assert rows["learning"] == (
        "the mean return: a return of 100 after 20 s of training (each seed: 100, 100)"
    )
    assert rows["than the fastest"].startswith("256 x 128, 128 minibatches: a return of 45")
    assert rows["than the baseline"].endswith("it was not trained")


DIED = trial(
    stage=Stage.LEARN,
    config=FASTEST,
    outcome=outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None),
)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "nothing reached a return of 100 in 20 s of training, so that"),
        (
            [trained(LEARNER, 4.0, disturbed=True), trained(LEARNER, 60.0)],
            "nothing that counts reached a return of 100 in 20 s of training (16 x 128, 8 "
            "minibatches did after 4 s, while it was disturbed), so that",
        ),
        (  # of two that were disturbed the latest stands for both
            [trained(LEARNER, 4.0, disturbed=True), trained(LEARNER, 60.0, disturbed=True)],
            "nothing that counts reached a return of 100 in 20 s of training (16 x 128, 8 "
            "minibatches did after 4 s, while it was disturbed), so that",
        ),
        (
            [trained(FASTEST, 4.0), DIED],
            "nothing that counts reached a return of 100 in 20 s of training (256 x 128, 128 "
            "minibatches did after 4 s, but another training of it failed), so that",
        ),
        (
            [trained(FASTEST, 4.0), DIED, trained(LEARNER, 3.0, disturbed=True)],
            "nothing that counts reached a return of 100 in 20 s of training (16 x 128, 8 "
            "minibatches did after 3 s, while it was disturbed; so did 1 more), so that",
        ),
    ],
)
def test_what_reached_the_target_and_does_not_count_is_told(trials: list[Trial], said: str) -> None:
    found = searched([*trials, trained(LEARNER, 70.0), trained(BASELINE, 70.0)])
    assert learning.doubts(found.chosen[Kind.LEARNING], found)[0].startswith(said)


def test_what_trained_and_told_no_return_is_not_called_untrained() -> None:
    untold = trial(stage=Stage.LEARN, config=BASELINE)  # as one that has fallen behind by then
    found = searched([trained(LEARNER, 4.0), trained(LEARNER, 4.5), untold])
    assert said(found)["than the baseline"] == (
        "64 x 128, 32 minibatches: it told no return in 4 s of training"
    )
    assert learning.doubts(found.chosen[Kind.LEARNING], found) == [
        "nothing else that trained counts, so that others may learn faster: give more time, or "
        "less --learn-time."
    ]


@pytest.mark.parametrize(
    ("trials", "plan", "doubt"),
    [
        ([], PLAN, "nothing was trained to its end"),
        ([trial(stage=Stage.LEARN)], PLAN, "no episode ended in 4 s of training"),
        ([trained(LEARNER, 4.0)], PLAN, "it trained with one seed alone"),
        (
            [trained(LEARNER, 60.0), trained(LEARNER, 70.0)],
            PLAN,
            "nothing reached a return of 100 in 20 s of training",
        ),
        (
            [trained(LEARNER, 4.0), trained(LEARNER, 60.0)],
            PLAN,
            "1 of its 2 seeds did not reach 100: a longer --learn-time tells more.",
        ),
        (
            [trained(LEARNER, 1.0)] * 2 + [trained(LEARNER, 60.0)] + [trained(FASTEST, 16.0)] * 3,
            PLAN,
            "1 of its 3 seeds did not reach 100: a missed one counts as twice its time. Surer is "
            "256 x 128, 128 minibatches: 16 s, 16 s, 16 s.",
        ),
        (
            [trained(LEARNER, 4.0), trained(LEARNER, 60.0, until_s=5.0)],
            PLAN,
            "1 of its 2 seeds did not reach 100: the training ended by itself, so give it a larger",
        ),
        ([trained(LEARNER, 4.0), trained(LEARNER, 4.5)], PLAN, None),
        (
            [trial(config=FASTEST), trained(LEARNER, 4.0), trained(LEARNER, 4.5)],
            PLAN,
            "nothing else was trained, so that others may learn faster: give more time",
        ),
        (  # the curves rise from 0.5 and 0.4
            [trained(LEARNER, 40.0), trained(LEARNER, 50.0)],
            dataclasses.replace(PLAN, target=0.3),
            "its first return was at 0.3 or beyond with each seed",
        ),
        ([trained(LEARNER, 4.0)] * 2, PLAN, "all seeds gave the very same returns"),
        ([trained(LEARNER, 60.0), trained(LEARNER, 70.0)], NO_TARGET, None),
    ],
)
def test_doubts(trials: list[Trial], plan: LearningPlan, doubt: str | None) -> None:
    found = searched(trials, plan)
    doubts = learning.doubts(found.chosen[Kind.LEARNING], found)
    assert len(doubts) == (doubt is not None)
    assert all(one.startswith(doubt or "") for one in doubts)


@pytest.mark.parametrize("fastest", [[], [trained(FASTEST, 16.0)] * 3])
def test_what_learns_fastest_is_named_before_its_speed_is_measured(fastest: list[Trial]) -> None:
    found = searched([trained(LEARNER, 4.0)] * 3 + fastest)
    steps = found.chosen[Kind.FASTEST]
    early = dataclasses.replace(found, chosen={Kind.FASTEST: steps}, learner=LEARNER)
    headline = learning.headline(steps, early)
    assert headline.startswith("learns fastest: 16 x 128, 8 minibatches (100 after 4 s of training")
    assert headline.endswith(
        "), whose speed is not yet measured; steps fastest: 256 x 128, 128 minibatches"
    )
    rows = dict(learning.rows(steps, early))
    assert rows["learning"].startswith("the mean return: 100 after 4 s of training")
    assert rows["than the fastest"].startswith("256 x 128, 128 minibatches: ")
    assert "16 x 128, 8 minibatches is not yet measured" in learning.doubts(steps, early)[0]


def test_what_trained_and_failed_since_is_not_called_untrained() -> None:
    found = searched(SEEN)
    steps = found.chosen[Kind.FASTEST]
    failed = dataclasses.replace(found, chosen={Kind.FASTEST: steps})
    assert learning.headline(steps, failed).endswith("is not known: all that trained failed")
    assert learning.doubts(steps, failed)[0].startswith("all that trained failed since")


def test_without_trainings_there_is_a_sentence_and_no_rows() -> None:
    found = searched([trial(outcome=outcome())])
    assert said(found) == {}
    assert learning.headline(found.chosen[Kind.LEARNING], found) == (
        "16 x 128, 8 minibatches steps fastest; what learns fastest is not known: nothing was "
        "trained"
    )
