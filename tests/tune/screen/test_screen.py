"""The screen: a table that fits, lines for files, JSON for machines, and a result that is true."""

import contextlib
import dataclasses
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import factories
from search_spaces import jax_phase12
from trainables.measurement import OutcomeKind, Phase, Progress
from tune.run_folder.record import SearchContext
from tune.screen import result_panel, trials_table
from tune.screen.screen import Screen
from tune.search.objective import Objective
from tune.search.result import Kind, SearchResult
from tune.search.trial import Stage, Trial
from tune.spec import SearchSpec
from tune.summary import conclusion

PROFILES = {Kind.FASTEST: Path("profiles/an-unusually-long-machine-class-name-phase1-fastest.yaml")}
TOO_MUCH = factories.failed(
    OutcomeKind.DEVICE_MEMORY,
    "the compiled program needs 21.30 GiB of device memory, the budget is 9.60 GiB; it was not "
    "run. Use fewer environments, shorter rollouts or smaller minibatches.",
    predicted_device_bytes=int(21.3 * 2**30),
)
CONTEXT = SearchContext(
    objective=Objective.THROUGHPUT,
    baseline_is_default=True,
    soak_updates=200,
    synthetic_data=False,
    device_budget_bytes=10 * 2**30,
    host_budget_bytes=13 * 2**30,
    thread_room=1_000,
    cpus=(0, 1, 2, 3),
)


def sized(number: int, **changes: Any) -> Trial:
    """A trial of the largest sizes there are, so that columns are at their widest."""
    config = {"num_envs": 16384, "num_steps": 256, "batch_size": 131072, "num_epochs": 4}
    return factories.trial(number=number, config=config, **changes)


TRIALS = (
    factories.trial(number=0, stage=Stage.BASELINE),
    sized(1, stage=Stage.RAMP, outcome=TOO_MUCH),
    sized(2, outcome=factories.outcome(kind=OutcomeKind.SLOW, message="cannot win.")),
    sized(3, outcome=dataclasses.replace(TOO_MUCH, kind=OutcomeKind.EXCLUDED, wall_s=0.0)),
    sized(4, outcome=None),
)


class FakeSearch:
    """What a screen sees of a search."""

    def __init__(self, trials: tuple[Trial, ...], remaining_s: float | None = None) -> None:
        self.trials = trials
        self.remaining_s = remaining_s


def begin(screen: Screen, **spec: Any) -> None:
    screen.preflight(factories.preflight())
    screen.started(
        task=factories.task(),
        spec=SearchSpec(**spec),
        space=jax_phase12.space(platform="cpu", num_cpus=4),
        baseline=jax_phase12.PHASE12_BASELINE,
        folder=Path("runs/jax-phase1"),
    )


def tell(screen: Screen, trial: Trial) -> None:
    """Start the trial and, if it has ended, end it. Excluded ones never start."""
    if trial.was_run:
        screen.trial_started(dataclasses.replace(trial, outcome=None))
    if trial.outcome is not None:
        screen.trial_ended(trial)


def terminal(width: int) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_whole_table_and_the_reasons_when_all_is_over(width: int) -> None:
    console = terminal(width)
    screen = Screen(console=console)
    begin(screen)
    with screen.live(FakeSearch(TRIALS)):
        for trial in TRIALS:
            tell(screen, trial)
    shown = printed(console)
    final = shown[shown.rindex("env steps/s") :]
    assert "16384 x 256 / 131072" in final
    assert "50.0 K ±1.0 %" in final
    assert "device memory" in final
    assert "1 configuration not run: predicted over the memory budget" in final
    words = " ".join(final.split())
    assert "#1 device memory: the compiled program needs 21.30 GiB of device memory, the" in words
    assert "shorter rollouts or smaller minibatches." in words
    assert all(len(line) <= width for line in final.splitlines())


@pytest.mark.parametrize(
    ("width", "height", "num_earlier"), [(80, 24, 29), (120, 50, 27), (80, 5, 41)]
)
def test_the_live_table_fits_and_shows_the_last_trials_of_many(
    width: int, height: int, num_earlier: int
) -> None:
    measured = [sized(number) for number in range(36)]
    many = [*measured, *(sized(number, outcome=TOO_MUCH) for number in range(36, 40))]
    running = {40: trials_table.Running(phase=Phase.COMPILE, seconds=12.0)}
    console = terminal(width)
    trials = (*many, *TRIALS[2:4], factories.trial(number=40, outcome=None))
    most_rows = trials_table.live_rows(height)
    console.print(trials_table.render(trials, running, width=width, most_rows=most_rows))
    lines = printed(console).splitlines()
    assert len(lines) < max(height, 13)  # and one for the time
    assert max(map(len, lines)) <= width
    assert f"{num_earlier} earlier trials not shown" in printed(console)
    last = next(line for line in lines if line.lstrip().startswith("40"))
    assert "compiling" in last
    assert "12 s" in last


def test_a_live_reason_is_one_line() -> None:
    console = terminal(80)
    console.print(trials_table.render(TRIALS, {}, width=80, most_rows=15))
    (reason,) = [line for line in printed(console).splitlines() if line.startswith("#1 device")]
    assert reason.rstrip().endswith("…")


@pytest.mark.parametrize(
    ("trials", "remaining_s", "left_s"),
    [
        ((), None, None),
        ((), 100.0, 100.0),
        (TRIALS[:1], None, (23 + 8) * 9.0),
        (TRIALS[:1], 60.0, 60.0),
        ((TRIALS[0], sized(1, stage=Stage.FINAL)), None, 7 * 9.0),
        ((TRIALS[3],), None, None),
        ((TRIALS[0],), -5.0, 0.0),
    ],
)
def test_the_time_left_is_what_trials_take_but_never_more_than_the_limit(
    trials: tuple[Trial, ...], remaining_s: float | None, left_s: float | None
) -> None:
    estimate = trials_table.time_left_s(trials, max_runs=24, num_finals=8, remaining_s=remaining_s)
    assert estimate == left_s


def test_without_a_terminal_every_event_is_one_plain_line() -> None:
    stdout = io.StringIO()
    screen = Screen(stdout=stdout)
    begin(screen, max_time="10m")
    with screen.live(FakeSearch(TRIALS)):
        for trial in TRIALS:
            tell(screen, trial)
    screen.dashboard("http://127.0.0.1:8265", metrics_url="http://127.0.0.1:1/metrics")
    screen.finished(factories.result(), profiles=PROFILES, files=[Path("runs/x/trials.csv")])
    lines = stdout.getvalue().splitlines()
    assert "Searching jax-phase1 on a synthetic market." in lines
    assert (
        "trial 0 (baseline) measured: 256 envs x 128 steps, batch 8192, 4 epochs: "
        "50.0 K ±1.0 % env steps/s, 143 MiB, 21 threads, 9 s" in lines
    )
    assert sum(line.startswith("trial ") for line in lines) == 8
    assert any(line.startswith("trial 3 (search) not run: 16384 envs") for line in lines)
    assert "Ray's dashboard: http://127.0.0.1:8265" in lines
    assert f"  profile: {PROFILES[Kind.FASTEST]} (fastest)" in lines
    assert "\x1b" not in stdout.getvalue()


def test_json_lines_have_a_stable_shape_and_nothing_else_is_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen(as_json=True, clock=lambda: 5.0)
    begin(screen)
    with screen.live(FakeSearch(TRIALS)):
        print("a library says hello")
        for trial in TRIALS:
            tell(screen, trial)
        progress = Progress(phase=Phase.WARMUP, predicted_device_bytes=7)
        screen.trial_progress(TRIALS[4], progress)
    screen.note("by the way")
    screen.finished(factories.result(), profiles=PROFILES, files=[])
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == "a library says hello\n"
    assert all(list(event)[:3] == ["schema", "event", "elapsed_s"] for event in events)
    names = [event["event"] for event in events]
    assert names[:3] == ["preflight", "started", "trial_started"]
    assert names[-3:] == ["trial_progress", "note", "finished"]
    ended = next(event for event in events if event["event"] == "trial_ended")["trial"]
    assert ended["config"]["num_envs"] == 256
    assert ended["outcome"]["measurement"]["steps_per_second"] == 50_000.0
    assert events[-3]["phase"] == "warmup"
    finished = events[-1]
    assert finished["succeeded"] is True
    assert finished["chosen"]["fastest"]["profile"] == str(PROFILES[Kind.FASTEST])
    assert finished["chosen"]["fastest"]["speedup"]["ratio"] == 1.24


def test_json_has_no_nan() -> None:
    stdout = io.StringIO()
    screen = Screen(as_json=True, stdout=stdout)
    measurement = factories.measurement(health={"loss": float("nan")})
    screen.trial_ended(factories.trial(outcome=factories.outcome(measurement=measurement)))
    assert json.loads(stdout.getvalue())["trial"]["outcome"]["measurement"]["health"] == {
        "loss": None
    }
    assert "NaN" not in stdout.getvalue()


def test_what_scrolls_away_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tune"):
        screen = Screen(console=terminal(80))
        begin(screen)
        with screen.live(FakeSearch(TRIALS)):
            tell(screen, TRIALS[1])
        screen.finished(factories.result(), profiles={})
    assert "trial 1 (ramp) device memory: 16384 envs x 256 steps" in caplog.text
    assert "1.24 x faster than the framework default" in caplog.text


@pytest.mark.parametrize("width", [80, 120])
def test_the_result_fits_and_its_commands_can_be_copied(width: int) -> None:
    console = terminal(width)
    screen = Screen(console=console)
    begin(screen)
    screen.finished(factories.result(), profiles=PROFILES, files=[Path("runs/x/trials.csv")])
    shown = printed(console)
    panel = shown[shown.index(" result ") - 40 : shown.rindex("╯")]
    assert max(len(line) for line in panel.splitlines()) <= width
    commands = shown[shown.rindex("╯") :].splitlines()
    file = PROFILES[Kind.FASTEST]
    assert (
        f'  eval "$(python -m tune.profile env {file})" && taskset -c 0-1 YOUR TRAINING' in commands
    )
    assert f"  python -m tune.profile validate {file}" in commands
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", panel).split())
    for part in (
        "512 x 64, 8 minibatches: 1.24 x faster than the framework default (256 x 128, 4",
        "512 envs x 64 steps, batch 4096, 4 epochs",
        "62.0 K env steps/s, 95 % interval 61.2 K to 62.9 K, from 2 fresh processes",
        "143 MiB of 9.60 GiB allowed, 99 % free (as compiled)",
        "21 at most, under a cap of 2; room for 1,000",
        "200 of 200 updates in one process, 2 min 11 s at 61.5 K env steps/s",
        "8 trials in a row did not improve the best",
        "complete, 4 min 31 s",
        "synthetic data",
    ):
        assert part in text


def conclude(result: SearchResult, **context: Any) -> conclusion.Conclusion:
    return conclusion.conclude(
        result, dataclasses.replace(CONTEXT, **context), profiles=PROFILES, files=[]
    )


DEFAULT = "framework default (256 x 128, 4 minibatches)"


@pytest.mark.parametrize(
    ("changes", "context", "headline"),
    [
        ({}, {}, f"512 x 64, 8 minibatches: 1.24 x faster than the {DEFAULT}"),
        (
            {},
            {"baseline_is_default": False},
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
            {"config": factories.BASELINE.config},
            {},
            f"The {DEFAULT} is already the fastest of what was tried.",
        ),
        (
            {"steps_per_second": 40_000.0, "low": 39_000.0, "high": 41_000.0},
            {"objective": Objective.BALANCED},
            "512 x 64, 8 minibatches is the best by --objective balanced, not the fastest.",
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


def soaked(num_updates: int) -> Any:
    return factories.candidate(soak=factories.measurement(num_updates=num_updates))


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
            {"chosen": {Kind.FASTEST: factories.candidate(soak=None)}},
            {},
            "not soaked: exhaustion has been seen as late as update 130.",
        ),
        (
            {"chosen": {Kind.FASTEST: soaked(131)}},
            {},
            "the soak was cut short after 131 of 200 updates",
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
    ],
)
def test_what_weakens_the_promise_is_a_warning(
    changes: dict[str, Any], context: dict[str, Any], warning: str
) -> None:
    found = conclude(factories.result(**changes), **context)
    assert [text for text in found.warnings if warning in text]


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


def test_finals_are_listed_by_speed_with_what_failed_last() -> None:
    def final(number: int, num_envs: int, outcome: Any) -> Trial:
        config = {"num_envs": num_envs, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
        return factories.trial(number=number, stage=Stage.FINAL, config=config, outcome=outcome)

    def at(speed: float) -> Any:
        measurement = factories.measurement(
            steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
        )
        return factories.outcome(measurement=measurement)

    trials = (final(0, 256, at(50_000.0)), final(1, 512, at(60_000.0)), final(2, 1024, TOO_MUCH))
    rows = result_panel.finals_rows(factories.result(trials=(*trials, final(3, 512, at(62_000.0)))))
    assert [row[:3] for row in rows] == [
        ("512 x 128, 8 minibatches", "61.0 K ±2.7 %", "2"),
        ("256 x 128, 4 minibatches (baseline)", "50.0 K ±1.0 %", "1"),
        ("1024 x 128, 16 minibatches", "device memory", "1"),
    ]


def test_an_exception_leaves_the_table_and_the_terminal_behind() -> None:
    console = terminal(80)
    screen = Screen(console=console)
    begin(screen)
    with contextlib.suppress(RuntimeError), screen.live(FakeSearch(TRIALS)):
        raise RuntimeError
    assert "16384 x 256 / 131072" in printed(console)
    screen.trial_started(TRIALS[0])  # nothing is live any more
