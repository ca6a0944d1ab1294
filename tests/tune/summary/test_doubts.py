"""A weak promise is said to be one, and so is what speed alone does not say."""

from typing import Any

import pytest

import factories
from conclusions import conclude
from factories import BASELINE, candidate, measurement, outcome, result, trial
from screens import TOO_MUCH, sized
from trainables.measurement import OutcomeKind
from tune.run_folder.record import SearchContext
from tune.search.objective import Objective
from tune.search.result import Candidate, Kind
from tune.search.trial import Stage, Trial
from tune.summary import doubts


def unsettled(num_blocks: int) -> Any:
    measured = factories.measurement(
        converged=False, num_blocks=num_blocks, low=48_000.0, high=52_000.0
    )
    return factories.candidate(representative=factories.outcome(measurement=measured))


def cut_short() -> Any:
    """A count by the clock, of which others disturbed too much; what is left is steady."""
    measured = factories.measurement(
        converged=False, num_blocks=24, num_disturbed_blocks=16, measure_s=20.0
    )
    return factories.candidate(representative=factories.outcome(measurement=measured))


def soaked(num_updates: int) -> Any:
    return factories.candidate(soaks=(factories.measurement(num_updates=num_updates),))


def restarting(num_blocks: int, **changes: Any) -> Any:
    measured = factories.measurement(num_blocks=9, num_restart_blocks=num_blocks, **changes)
    return factories.candidate(representative=factories.outcome(measurement=measured))


def slow_soak(**changes: Any) -> Any:
    soak = factories.measurement(num_updates=200, steps_per_second=48_200.0, **changes)
    return factories.candidate(soaks=(soak,))


@pytest.mark.parametrize(
    ("changes", "context", "warning"),
    [
        ({"partial": True}, {}, "the search was interrupted: go on with --resume"),
        (
            {"chosen": {Kind.FASTEST: factories.candidate(confirmed=False)}},
            {},
            "not confirmed: measured while exploring, not again in finals.",
        ),
        (
            {"chosen": {Kind.FASTEST: factories.candidate(soaks=())}},
            {},
            "not soaked: exhaustion has been seen as late as update 130.",
        ),
        (
            {"chosen": {Kind.FASTEST: soaked(131)}},
            {},
            "the soak was cut short after 131 of 200 updates",
        ),
        (
            {"chosen": {Kind.FASTEST: unsettled(9)}},
            {},
            "the speed varied more than 2 %; the interval is as wide as it was seen.",
        ),
        (
            {"chosen": {Kind.FASTEST: cut_short()}},
            {},
            "its speed is the mean of only 12 s, because that was all the time that counted",
        ),
        (
            {"chosen": {Kind.FASTEST: soaked(31)}},
            {"is_command": True, "soak_updates": 50},
            "the soak was cut short after 31 of 50 readings: its time was up.",
        ),
        (
            {"chosen": {Kind.FASTEST: slow_soak()}},
            {},
            "the soak ran at 48.2 K env steps/s, below the 60.5 K to 63.5 K that the finals",
        ),
        (
            {"chosen": {Kind.FASTEST: factories.candidate(soaks=2 * slow_soak().soaks)}},
            {},
            "two soaks, in the mean, ran at 48.2 K env steps/s, below the 60.8 K to 63.2 K that",
        ),
        (
            {"chosen": {Kind.FASTEST: slow_soak(gpu_held_back={"temperature": 0.6})}},
            {},
            "the GPU ran at lower clocks in the soak: its temperature limit for 60 % of it.",
        ),
        (
            {"chosen": {Kind.FASTEST: slow_soak(device_growth_bytes=2**30)}},
            {},
            "the peak of device memory rose by 1.00 GiB over the soak's 200 updates",
        ),
        (
            {"chosen": {Kind.FASTEST: restarting(5)}},
            {},
            "processes of the loop's own started or ended in 5 of its blocks of updates",
        ),
        (
            {"chosen": {Kind.FASTEST: restarting(5, disturbed=True, num_disturbed_blocks=8)}},
            {},
            "processes of the loop's own started or ended in 5 of its blocks of updates",
        ),
        (
            {"chosen": {Kind.FASTEST: factories.candidate(disturbed=True)}},
            {},
            "every process that counts was disturbed: its speed is what was left.",
        ),
        (
            {"chosen": {Kind.FASTEST: factories.candidate(low=50_000.0)}},
            {},
            "its speed is known to 19 % either way, and no better: search again on a quieter",
        ),
        (
            {"chosen": {Kind.FASTEST: unsettled(2)}},
            {},
            "only 2 blocks of updates fitted into the time to measure, too few to tell how much",
        ),
        ({}, {"synthetic_data": True}, "synthetic data: speed holds for real bars"),
        ({}, {"doubts": ("learning_starts is 80000.",)}, "learning_starts is 80000."),
        (
            {"trials": (sized(5, stage=Stage.SOAK, outcome=TOO_MUCH),)},
            {},
            "16384 x 256, 32 minibatches was explored, but failed later (soak): device memory.",
        ),
        (
            {"trials": (factories.trial(outcome=factories.failed(OutcomeKind.ERROR, "boom")),)},
            {},
            "1 trial failed with an error that is no limit: read the logs.",
        ),
        (
            {"trials": (sized(5, outcome=factories.failed(OutcomeKind.NODE_LOST, "killed")),)},
            {},
            "16384 x 256, 32 minibatches could not be measured, because something on this machine",
        ),
    ],
)
def test_what_weakens_the_promise_is_a_warning(
    changes: dict[str, Any], context: dict[str, Any], warning: str
) -> None:
    found = conclude(factories.result(**changes), **context)
    assert [text for text in found.warnings if warning in text]


def test_a_soak_of_a_loop_that_tells_no_updates_is_counted_in_readings() -> None:
    soak = measurement(num_updates=120, counted="reading")
    found = conclude(result(chosen={Kind.FASTEST: candidate(soaks=(soak,))}))
    said = dict(found.rows)["soak"]
    assert said.startswith("120 of 200 readings in one process")
    cut = "the soak was cut short after 120 of 200 readings: its time was up."
    assert cut in found.warnings


def test_what_its_soak_alone_measured_was_not_measured_while_exploring() -> None:
    soak = trial(stage=Stage.SOAK, config=candidate().config, outcome=outcome(wall_s=30.0))
    winner = candidate(confirmed=False, representative=soak.outcome)
    found = conclude(result(trials=(trial(), soak), chosen={Kind.FASTEST: winner}))
    assert "not confirmed: measured in its soak alone, not again in finals." in found.warnings


def test_what_was_never_measured_in_quiet_is_named() -> None:
    configs = [{"num_envs": num_envs, "num_steps": 32} for num_envs in (1, 2, 3, 4, 5)]
    noisy = factories.outcome(measurement=factories.measurement(disturbed=True))
    disturbed = tuple(factories.trial(config=config, outcome=noisy) for config in configs)
    warnings = conclude(factories.result(trials=disturbed)).warnings
    [said] = (w for w in warnings if w.startswith("disturbed in every measurement, and perhaps"))
    named = "; ".join(f"num_envs {num_envs}, num_steps 32" for num_envs in (1, 2, 3))
    assert said.endswith(f"faster than it looks: {named} and 2 more.")
    quiet = tuple(factories.trial(config=config) for config in configs)
    warnings = conclude(factories.result(trials=(*disturbed, *quiet))).warnings
    assert not any("faster than it looks" in w for w in warnings)


@pytest.mark.parametrize(
    ("speed", "stage", "disturbed", "is_said"),
    [
        (70_000.0, Stage.SEARCH, True, True),
        (70_000.0, Stage.SOAK, True, True),
        (62_500.0, Stage.SEARCH, True, False),  # its interval ends at 62.9 K
        (70_000.0, Stage.LEVER, True, False),
        (70_000.0, Stage.SEARCH, False, False),
    ],
)
def test_a_disturbed_measurement_that_was_faster_than_promised_is_said(
    speed: float, stage: Stage, disturbed: bool, is_said: bool
) -> None:
    measured = factories.measurement(steps_per_second=speed, disturbed=disturbed)
    config = factories.candidate().config
    trials = (factories.trial(config=config, stage=stage, outcome=outcome(measurement=measured)),)
    said = (
        "it ran at 70.0 K env steps/s while it was disturbed, above all that is promised: it may "
        "be faster."
    )
    assert (said in conclude(factories.result(trials=trials)).warnings) is is_said


@pytest.mark.parametrize(
    ("speeds", "disturbed", "is_said"),
    [
        ([48_000.0], [True], True),
        ([50_000.0, 48_000.0], [True, True], True),
        ([61_500.0], [True], False),  # its interval begins at 61.2 K
        ([48_000.0, 61_500.0], [True, False], False),  # another ran in quiet
        ([48_000.0], [False], False),  # that is promised
    ],
)
def test_a_soak_that_was_slower_than_promised_because_it_was_disturbed_is_said(
    speeds: list[float], disturbed: list[bool], is_said: bool
) -> None:
    soaks = tuple(
        factories.measurement(steps_per_second=speed, disturbed=was)
        for speed, was in zip(speeds, disturbed, strict=True)
    )
    winner = factories.candidate(soaks=soaks)
    trials = tuple(
        factories.trial(config=winner.config, stage=Stage.SOAK, outcome=outcome(measurement=soak))
        for soak in soaks
    )
    said = (
        "the soak was disturbed and ran at 48.0 K env steps/s, below all that is promised: a "
        "training that meets as much gets no more."
    )
    chosen = {Kind.FASTEST: winner}
    found = conclude(factories.result(chosen=chosen, trials=trials)).warnings
    assert (said in found) is is_said


def test_memory_that_grew_in_the_soak_is_said_with_its_end() -> None:
    measured = factories.measurement(num_updates=100, measure_s=10.0)
    grew = factories.outcome(
        measurement=measured, host_growth=10.0 * 30 * 2**20, peak_host_bytes=3 * 2**30
    )
    config = factories.candidate().config
    trials = (factories.trial(stage=Stage.SOAK, config=config, outcome=grew),)
    budget = 3 * 2**30 + 640 * 30 * 2**20
    warnings = conclude(factories.result(trials=trials), host_budget_bytes=budget).warnings
    assert (
        "host memory grew by 30 MiB per update in the soak: what is allowed is full after some 640 "
        "updates more."
    ) in warnings


def test_a_complete_confirmed_result_warns_of_nothing() -> None:
    assert conclude(factories.result()).warnings == ()
    assert conclude(factories.result(), soak_updates=0).warnings == ()


def test_errors_of_the_sizes_say_from_where_on() -> None:
    ran = factories.trial(config={"num_envs": 64, "vec": "a"})
    died = factories.failed(OutcomeKind.ERROR, "SIGSEGV")
    larger = [factories.trial(config={"num_envs": n, "vec": "a"}, outcome=died) for n in (512, 256)]
    said = conclude(factories.result(trials=(ran, *larger))).warnings
    [beyond] = [text for text in said if "dies beyond about num_envs 256, vec a" in text]
    assert beyond.startswith("2 trials died of errors that are no known limit")
    assert not any("no limit: read the logs" in text for text in said)
    other = factories.trial(config={"num_envs": 512, "vec": "b"}, outcome=died)
    said = conclude(factories.result(trials=(ran, *larger, other))).warnings
    assert any("3 trials failed with errors that are no limit" in text for text in said)
    assert not any("dies beyond" in text for text in said)


@pytest.mark.parametrize(("busy", "is_said"), [(0.0, True), (2.4, True), (60.0, False)])
def test_a_gpu_that_is_not_used_is_said(busy: float, is_said: bool) -> None:
    measured = factories.measurement(gpu_utilization=busy)
    used = factories.candidate(representative=factories.outcome(measurement=measured))
    warnings = conclude(factories.result(chosen={Kind.FASTEST: used})).warnings
    assert any("does the training use it at all?" in text for text in warnings) == is_said


@pytest.mark.parametrize(
    ("own_cpus", "num_cpus", "is_said"),
    [(1.7, 32, True), (1.7, 2, False), (1.0, 32, False), (None, 32, False), (1.7, None, False)],
)
def test_a_cap_that_may_hold_the_training_back_is_said(
    own_cpus: float | None, num_cpus: int | None, is_said: bool
) -> None:
    measured = factories.measurement(own_cpus=own_cpus)
    ran = factories.outcome(measurement=measured, thread_cap=2)
    found = said_of(candidate(representative=ran), "--thread-cap", num_cpus=num_cpus)
    assert len(found) == is_said
    if is_said:
        assert "took 1.7 CPUs under its cap of 2, and it could have 32: with" in found[0]


def said_of(
    winner: Candidate, words: str, trials: tuple[Trial, ...] | None = None, **context: Any
) -> list[str]:
    """The doubts about a winner that have these words."""
    fields: dict[str, Any] = {
        "objective": Objective.THROUGHPUT,
        "soak_updates": 200,
        "synthetic_data": False,
        "device_budget_bytes": 10 * 2**30,
        "host_budget_bytes": 13 * 2**30,
        "thread_room": 1_000,
        "cpus": (0, 1),
    }
    of_search = {} if trials is None else {"trials": trials}
    found = doubts.warnings(winner, result(**of_search), SearchContext(**(fields | context)))
    return [doubt for doubt in found if words in doubt]


@pytest.mark.parametrize(
    ("num_envs", "says"),
    [
        (64, None),
        (1024, None),
        (2048, "each update takes 131,072 samples, 4 x the baseline's"),
        (8192, "each update takes 524,288 samples, 16 x the baseline's"),
    ],
)
def test_updates_of_many_more_samples_may_need_more_steps_to_learn(
    num_envs: int, says: str | None
) -> None:
    winner = candidate(config=BASELINE.config | {"num_envs": num_envs, "num_steps": 64})
    found = said_of(winner, "may need more steps to learn")
    assert len(found) == (says is not None)
    assert all(doubt.startswith(f"{says}, so that") for doubt in found)


@pytest.mark.parametrize(
    ("num_envs", "speed", "says"),
    [
        (16, 1000.0, "16 x 128, 16 minibatches may learn about "),
        (16, 20.0, None),  # so slow that its updates are worth nothing more
        (2048, 1000.0, None),
    ],
)
def test_a_finalist_that_may_learn_several_times_sooner_is_named(
    num_envs: int, speed: float, says: str | None
) -> None:
    winner = {"num_envs": 4096, "num_steps": 128, "batch_size": 8192}
    other = {"num_envs": num_envs, "num_steps": 128, "batch_size": 128 if num_envs == 16 else 8192}
    trials = [
        trial(config=config, stage=Stage.FINAL, outcome=outcome(measurement=measurement(
            steps_per_second=rate, low=rate, high=rate
        )))
        for config, rate in ((winner, 1100.0), (other, speed))
    ]  # fmt: skip
    fastest = candidate(config=winner, steps_per_second=1100.0)
    found = said_of(fastest, "--objective learning trains both", trials=tuple(trials))
    named = [doubt for doubt in found if "may learn about" in doubt]
    assert len(named) == (says is not None)
    assert all(doubt.startswith(says or "") for doubt in named)


@pytest.mark.parametrize(
    ("objective", "noise_scale", "gpu_utilization", "is_said"),
    [
        (Objective.BALANCED, None, None, True),
        (Objective.BALANCED, 4096.0, None, False),
        (Objective.BALANCED, None, 80.0, True),
        (Objective.THROUGHPUT, None, None, False),
    ],
)
def test_that_balanced_knows_no_noise_scale_is_said(
    objective: Objective, noise_scale: float | None, gpu_utilization: float | None, is_said: bool
) -> None:
    measured = measurement(gpu_utilization=gpu_utilization)
    winner = candidate(noise_scale=noise_scale, representative=outcome(measurement=measured))
    assert (
        bool(said_of(winner, "gradient noise scale is not known", objective=objective)) == is_said
    )
