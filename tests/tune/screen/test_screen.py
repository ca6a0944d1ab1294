"""The screen: a live table in a terminal, lines for files, and all of it in the log."""

import contextlib
import io
import logging
from pathlib import Path

import pytest

import factories
from screens import CONTEXT, PROFILES, TRIALS, FakeSearch, begin, printed, tell, terminal
from tune.screen.screen import Screen
from tune.search.effort import Effort
from tune.search.result import Kind


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


def test_without_a_terminal_every_event_is_one_plain_line() -> None:
    stdout = io.StringIO()
    screen = Screen(stdout=stdout)
    begin(screen, max_time="10m")
    with screen.live(FakeSearch(TRIALS)):
        for trial in TRIALS:
            tell(screen, trial)
    screen.dashboard("http://127.0.0.1:8265", metrics_url="http://127.0.0.1:1/metrics")
    screen.finished(
        factories.result(), CONTEXT, profiles=PROFILES, files=[Path("runs/x/trials.csv")]
    )
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


def test_the_effort_is_said_and_after_the_first_trial_the_time_that_it_takes() -> None:
    stdout = io.StringIO()
    screen = Screen(stdout=stdout)
    begin(screen, effort=Effort.QUICK, max_time="10m")
    with screen.live(FakeSearch(TRIALS, expected_s=372.0)):
        for trial in (TRIALS[1], TRIALS[0], TRIALS[2]):
            tell(screen, trial)
    lines = stdout.getvalue().splitlines()
    assert (
        "Effort quick: at most 12 configurations, until 4 in a row bring no gain; 2 leaders and "
        "the baseline in 2 rounds of finals; a soak of 50 updates. In 10 min 00 s, all in all."
        in lines
    )
    said = lines.index("By what this trial took, about 6 min 12 s are left.")
    assert lines[said - 1].startswith("trial 0 (baseline) measured")
    assert sum("are left" in line for line in lines) == 1


def test_the_live_line_counts_the_time_left_down_and_asks_the_search_when_trials_end() -> None:
    console, now = terminal(80), [1000.0]
    screen = Screen(console=console, clock=lambda: now[0])
    begin(screen)
    search = FakeSearch(TRIALS, expected_s=372.0)
    with screen.live(search):
        assert "0 s elapsed, about 6 min 12 s left." in screen._time(), (
            "--max-time is known at once"
        )
        now[0] += 100.0
        tell(screen, TRIALS[0])
        search.expected_s = 1.0
        now[0] += 12.0
        assert "1 min 52 s elapsed, about 6 min 00 s left." in screen._time()
        now[0] += 500.0
        assert "about 0 s left." in screen._time()


def test_what_was_read_of_the_data_is_said_at_the_beginning() -> None:
    stdout = io.StringIO()
    begin(Screen(stdout=stdout), notes=("Read bars.csv: 300 bars.", "It was turned round."))
    lines = stdout.getvalue().splitlines()
    start = lines.index("Searching jax-phase1 on a synthetic market.")
    assert lines[start + 1 : start + 3] == ["Read bars.csv: 300 bars.", "It was turned round."]


def test_what_scrolls_away_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tune"):
        screen = Screen(console=terminal(80))
        begin(screen)
        with screen.live(FakeSearch(TRIALS)):
            tell(screen, TRIALS[1])
        screen.finished(factories.result(), CONTEXT, profiles={})
    assert "trial 1 (ramp) device memory: 16384 envs x 256 steps" in caplog.text
    assert "1.24 x faster than the framework default" in caplog.text


def test_an_exception_leaves_the_table_and_the_terminal_behind() -> None:
    console = terminal(80)
    screen = Screen(console=console)
    begin(screen)
    with contextlib.suppress(RuntimeError), screen.live(FakeSearch(TRIALS)):
        raise RuntimeError
    assert "16384 x 256 / 131072" in printed(console)
    screen.trial_started(TRIALS[0])  # nothing is live any more
