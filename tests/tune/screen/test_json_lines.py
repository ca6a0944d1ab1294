"""JSON lines for machines: a stable shape, and no NaN."""

import io
import json

import pytest

import factories
from screens import CONTEXT, PROFILES, TRIALS, FakeSearch, begin, tell
from trainables.measurement import Phase, Progress
from tune.screen.screen import Screen
from tune.search.result import Kind


def test_json_lines_have_a_stable_shape_and_nothing_else_is_on_stdout(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    screen = Screen(as_json=True, clock=lambda: 5.0)
    begin(screen)
    with screen.live(FakeSearch(TRIALS)):
        print("a library says hello")
        for trial in TRIALS:
            tell(screen, trial)
        progress = Progress(phase=Phase.WARMUP, predicted_device_bytes=7)
        screen.trial_progress(TRIALS[4], progress)
    screen.note("by the way")
    screen.finished(factories.result(), CONTEXT, profiles=PROFILES, files=[])
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == ""
    assert "printed: a library says hello" in caplog.messages
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
