"""The conclusion is true: noise is no gain, and a weak promise comes with a warning."""

import dataclasses
import re
from typing import Any

import pytest

import factories
from factories import candidate, result
from screens import PROFILES, TOO_MUCH, TRIALS, sized
from searches import record
from trainables.measurement import Measurement, OutcomeKind
from tune.run_folder.record import SearchContext
from tune.search.objective import Objective
from tune.search.result import Kind, Noise, SearchResult
from tune.search.trial import Stage
from tune.summary import conclusion
from tune.summary.conclusion import limited_by

CONTEXT = SearchContext(
    objective=Objective.THROUGHPUT,
    baseline_called="the framework default",
    soak_updates=200,
    synthetic_data=False,
    device_budget_bytes=10 * 2**30,
    host_budget_bytes=13 * 2**30,
    thread_room=1_000,
    cpus=(0, 1, 2, 3),
)


def conclude(result: SearchResult, **context: Any) -> conclusion.Conclusion:
    return conclusion.conclude(
        result, dataclasses.replace(CONTEXT, **context), profiles=PROFILES, files=[]
    )


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
            {"noise": VAGUE_NOISE},
            {},
            f"512 x 64, 8 minibatches was not told apart from the {DEFAULT}: 0.68 x to 2.28 x its "
            "speed.",
        ),
        (
            {"noise": VAGUE_NOISE},
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


def test_a_part_promises_nothing_and_says_how_the_search_is_finished() -> None:
    found = conclude(factories.result(), shard="1/2")
    assert found.headline == "Part 1/2 is explored; its best: 512 x 64, 8 minibatches."
    assert found.commands == (
        ("finish", "this command with --known and all parts' journal.log in place of --shard"),
    )
    assert not any(label in {"profile", "compared", "soak"} for label, _ in found.rows)


def test_a_baseline_that_did_not_run_is_no_speed_up() -> None:
    found = conclude(factories.result(baseline=None))
    assert found.headline == "512 x 64, 8 minibatches is the fastest of what fits here."
    assert any("the baseline did not run to its end here" in text for text in found.warnings)


def unsettled(num_blocks: int) -> Any:
    measured = factories.measurement(converged=False, num_blocks=num_blocks)
    return factories.candidate(representative=factories.outcome(measurement=measured))


def soaked(num_updates: int) -> Any:
    return factories.candidate(soaks=(factories.measurement(num_updates=num_updates),))


def restarting(num_blocks: int) -> Any:
    measured = factories.measurement(num_blocks=9, num_restart_blocks=num_blocks)
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
            {"chosen": {Kind.FASTEST: factories.candidate(disturbed=True)}},
            {},
            "every process that measured it was disturbed: its speed is what was left.",
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


def test_a_soak_that_was_slower_is_the_speed_that_is_said() -> None:
    rows = dict(conclude(factories.result(chosen={Kind.FASTEST: slow_soak()})).rows)
    assert rows["speed"].startswith("48.2 K env steps/s, 95 % interval")


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


def disturbed_row(*measurements: Measurement) -> str | None:
    trials = tuple(
        factories.trial(outcome=factories.outcome(measurement=measured))
        for measured in measurements
    )
    return dict(conclude(factories.result(trials=trials)).rows).get("disturbed")


def measured(**changes: Any) -> Measurement:
    return factories.measurement(num_blocks=6, measure_s=10.0, **changes)


def test_the_time_that_neighbours_cost_is_said() -> None:
    assert disturbed_row(measured()) is None
    found = disturbed_row(
        measured(),
        measured(num_disturbed_blocks=4, disturbed_per_second=25_000.0),
        measured(num_disturbed_blocks=6, disturbed=True),  # what it lost is not known
    )
    assert found == (
        "other programs used the CPUs of 2 of 3 trials for 14 s. It counts where nothing else was "
        "measured; a long training meets it, too"
    )


def test_the_time_that_slower_cpus_cost_is_said_apart_and_what_it_would_cost_a_training() -> None:
    found = disturbed_row(
        measured(num_disturbed_blocks=4, num_slowed_blocks=3, disturbed_per_second=0.5 * 50_000.0),
        measured(),
    )
    # Of 20 s, 4 s were half as fast.
    assert found == (
        "other programs used the CPUs of 1 of 2 trials for 1 s; the CPUs were slower for 3 s of 1 "
        "trial, by nothing that the kernel counts: others on the same host, or heat. It counts "
        "where nothing else was measured; a long training that meets as much of it gets 0.90 x of "
        "the speed"
    )


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


def test_nothing_feasible_says_which_limit_and_what_to_change() -> None:
    threads = factories.failed(OutcomeKind.THREAD_LIMIT, "clone was refused.")
    result = factories.result(
        trials=(sized(0, outcome=TOO_MUCH), sized(1, outcome=threads), TRIALS[3]),
        chosen={},
        baseline=None,
    )
    found = conclusion.conclude(result, CONTEXT, profiles={}, files=[])
    assert found.headline == "No configuration was feasible, so there is no profile."
    assert not found.succeeded
    assert not found.commands
    text = "\n".join(f"{label}: {words}" for label, words in found.rows)
    assert "Last: the compiled program needs 21.30 GiB" in text
    assert "what to do: Fewer num_envs or num_steps, a smaller batch_size" in text
    assert "Last: clone was refused." in text
    assert "what to do: Run python -m tune.preflight" in text
    assert "trials: 1 device memory, 1 no threads left, 1 not run" in text


def test_trials_that_all_failed_name_the_log() -> None:
    failed = factories.failed(OutcomeKind.ERROR, "ModuleNotFoundError: jax", log="runs/x/0.log")
    result = factories.result(trials=(factories.trial(outcome=failed),), chosen={}, baseline=None)
    rows = conclusion.conclude(result, CONTEXT, profiles={}, files=[]).rows
    assert ("log", "runs/x/0.log") in rows
    assert ("what to do", "Read the trial's log; this is a defect in the workload, its setup or "
            "this tool.") in rows  # fmt: skip


def test_other_kinds_are_listed_where_they_differ() -> None:
    lean = factories.candidate(
        config=factories.BASELINE.config, steps_per_second=60_000.0, device_bytes=2**20 * 80
    )
    chosen = {Kind.FASTEST: factories.candidate(), Kind.BALANCED: factories.candidate()}
    found = conclude(factories.result(chosen=chosen | {Kind.LEAN: lean}))
    rows = dict(found.rows)
    assert rows["lean"] == "256 envs x 128 steps, batch 8192, 4 epochs: 60.0 K env steps/s, 80 MiB"
    assert "balanced" not in rows


@pytest.mark.parametrize(
    ("device_bytes", "said"),
    [
        (150_000_000, r"No limit is near: it takes \d+ % of the \w+ ?\w* allowed"),
        (9_000_000_000, r"What limits it: device memory, of which it takes 8\d %"),
    ],
)
def test_the_limit_that_is_near_is_named(device_bytes: int, said: str) -> None:
    found = result(chosen={Kind.FASTEST: candidate(device_bytes=device_bytes)})
    assert re.match(said, limited_by(found, record().context))


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


def test_a_search_of_which_nothing_ran_is_called_broken() -> None:
    lost = factories.trial(outcome=factories.failed(OutcomeKind.NODE_LOST, "SIGKILL, by someone."))
    found = conclude(factories.result(chosen={}, trials=(lost,)))
    rows = dict(found.rows)
    assert found.headline == "No trial could run, so there is no profile."
    assert rows["search"].startswith("broken, ")
    assert "SIGKILL, by someone" in rows["lost"]
