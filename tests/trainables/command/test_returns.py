"""Returns, read from the lines of a training: alone, and of commands that train from scratch."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from scripts import COUNT, OURS, SCALARS, SPS, run
from trainables.command.presets import readings_of
from trainables.command.readings import ReturnLines
from trainables.command.returns import SMOOTHED_EPISODES, MeanReturn, ReturnReader
from trainables.curve import LearningCurve, LearningGate, TrainingRequest
from trainables.measurement import Outcome, OutcomeKind


def test_a_mean_is_taken_as_it_is_printed() -> None:
    returns = ReturnReader(ReturnLines(pattern=r"mean return (\S+)"))
    lines = ["mean return nan", "loss 3", "mean return 4.5", "mean return [-1,200.]"]
    told = [returns.hear(line) for line in lines]
    assert told == [None, None, MeanReturn(4.5), MeanReturn(-1200.0)]


def test_returns_of_single_episodes_are_averaged_over_the_last() -> None:
    returns = ReturnReader(ReturnLines(pattern=r"return=(\S+)", per_episode=True))
    told = [returns.hear(f"return={number}") for number in range(SMOOTHED_EPISODES + 5)]
    assert told[1] == MeanReturn(0.5, of_few=True)
    assert [mean.of_few for mean in told if mean] == [True] * (SMOOTHED_EPISODES - 1) + [False] * 6
    assert told[-1] == MeanReturn(5 + (SMOOTHED_EPISODES - 1) / 2)


def test_a_mean_between_lines_of_single_episodes_is_taken_as_it_is_printed() -> None:
    [reading] = readings_of("cleanrl", ["num_envs", "num_steps"])
    assert reading.returns is not None
    returns = ReturnReader(reading.returns)
    lines = [
        "global_step=108, episodic_return=[27.]",
        "SPS: 19",
        "global_step=128, avg_episodic_return=1.5",
        "2 SPS=  14 return=-0.66 length=9.4 pi_loss=-0.790",
        "global_step=156, episodic_return=[10.]",
    ]
    assert [returns.hear(line) for line in lines] == [
        MeanReturn(27.0, of_few=True),
        None,
        MeanReturn(1.5),
        MeanReturn(-0.66),
        MeanReturn(18.5, of_few=True),
    ]


@pytest.mark.parametrize("text", ["return=inf", "return=1e999", "return="])
def test_what_is_no_number_is_no_return(text: str) -> None:
    assert ReturnReader(ReturnLines(pattern="return=(.*)")).hear(text) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("return (", "--return 'return \\(' is no regular"), ("return", "needs a group around the")],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        ReturnReader(ReturnLines(pattern=pattern))


LEARNS = """
    import sys, time
    time.sleep(1.0)  # it starts up
    print("return", -5.0, flush=True)
    time.sleep(0.2)
    started, done = time.time(), 0
    while True:
        print("frames", done, flush=True)
        time.sleep(0.02)
        done += 100
        print("return", 10.0 * (time.time() - started) + int(sys.argv[1]))
"""
RETURNS = {"returns": {"pattern": r"^return (\S+)"}}
READS = COUNT | RETURNS


def learn(tmp_path: Path, script: str, *arguments: str, **more: Any) -> Outcome:
    training = TrainingRequest(max_s=more.pop("max_s", 2.0), **more.pop("training", {}))
    readings = more.pop("readings", [READS])
    return run(tmp_path, script, *arguments, training=training, readings=readings, **more)


def curve_of(outcome: Outcome) -> LearningCurve:
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert outcome.measurement is not None
    assert outcome.measurement.curve is not None
    return outcome.measurement.curve


def test_a_training_from_scratch_has_a_curve_from_its_first_reading_on(
    folder: Path, tmp_path: Path
) -> None:
    outcome = learn(tmp_path, LEARNS, "{seed}", seed=7)
    curve = curve_of(outcome)
    assert outcome.message.startswith("trained for 2")
    assert curve.seconds[0] == pytest.approx(2.0 / 400)
    assert curve.returns[0] == -5.0, "what was told before is of the first stretch"
    assert 1.5 < curve.seconds[-1] < 2.3
    assert 5 < len(curve.seconds) < 100
    points = zip(curve.seconds, curve.env_steps, curve.returns, strict=True)
    for seconds, steps, value in list(points)[1:]:
        assert value == pytest.approx(10.0 * seconds + 7, abs=2.0), "its seed is added"
        assert 1000.0 * seconds < steps + 500 < 5000.0 * seconds + 1000
    assert outcome.measurement is not None
    assert 1000.0 < outcome.measurement.steps_per_second <= 5000.0
    assert outcome.measurement.unit == "frames"
    assert not curve.held_out


def test_a_training_ends_at_its_target(folder: Path, tmp_path: Path) -> None:
    outcome = learn(tmp_path, LEARNS, "0", max_s=60.0, training={"target": 10.0})
    curve = curve_of(outcome)
    assert outcome.message.startswith("reached 10 after 1.")
    assert curve.reached_s(10.0) == pytest.approx(1.0, abs=0.3)


def test_a_training_ends_at_a_gate(folder: Path, tmp_path: Path) -> None:
    gates = (LearningGate(seconds=0.5, least_return=100.0),)
    outcome = learn(tmp_path, LEARNS, "0", max_s=60.0, training={"gates": gates})
    assert curve_of(outcome).fell_behind
    assert "where the best so far has 100" in outcome.message


def test_a_training_that_ends_by_itself_has_the_curve_up_to_there(
    folder: Path, tmp_path: Path
) -> None:
    script = LEARNS.replace("while True", "while done < 2000")
    outcome = learn(tmp_path, script, "0", max_s=60.0)
    assert curve_of(outcome).returns[-1] > 3.0
    assert outcome.message.endswith("s: it ended by itself.")


def test_a_training_whose_time_is_up_has_the_curve_up_to_there(
    folder: Path, tmp_path: Path
) -> None:
    outcome = learn(tmp_path, LEARNS, "0", max_s=60.0, timeout_s=8.0)
    assert curve_of(outcome).returns[-1] > 3.0
    assert outcome.message.endswith("s: its time was up.")


def test_a_training_without_a_return_is_an_error_that_says_what_to_do(
    folder: Path, tmp_path: Path
) -> None:
    outcome = learn(tmp_path, LEARNS.replace('"return"', '"score"'), "0", max_s=1.0)
    assert outcome.kind is OutcomeKind.ERROR
    assert "it told no return in 1" in outcome.message
    assert "no line matched '^return (\\\\S+)'. Give --return, a regular" in outcome.message
    assert "its last lines are: " in outcome.message
    assert "score" in outcome.message


def test_one_that_is_late_where_others_told_a_return_is_no_error(
    folder: Path, tmp_path: Path
) -> None:
    gates = (LearningGate(seconds=0.5, least_return=1.0),)
    script = LEARNS.replace('"return"', '"score"')
    outcome = learn(tmp_path, script, "0", training={"gates": gates})
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.measurement is not None
    assert outcome.measurement.curve is None
    assert "no return until 0.5 s" in outcome.message


EPISODES = """
    import time
    done = 0
    for episode in range(NUM):
        print("return", 500 if episode % 2 else 0)
        time.sleep(0.02)
        done += 100
        print("frames", done, flush=True)
"""


@pytest.mark.parametrize("num", [60, 9])
def test_returns_of_single_episodes_are_no_target(num: int, folder: Path, tmp_path: Path) -> None:
    """Half of the episodes reach the target, and their mean is the half of it."""
    reads = COUNT | {"returns": RETURNS["returns"] | {"per_episode": True}}
    script = EPISODES.replace("NUM", str(num))
    outcome = learn(tmp_path, script, max_s=60.0, training={"target": 400.0}, readings=[reads])
    curve = curve_of(outcome)
    assert "it ended by itself" in outcome.message
    assert curve.returns[-1] == pytest.approx(250.0, abs=30.0)
    assert (len(curve.returns) == 1) == (num == 9), "of few episodes it counts in the end alone"


def test_the_preset_that_matches_has_the_pattern_of_the_return(
    folder: Path, tmp_path: Path
) -> None:
    other = SPS | {"returns": {"pattern": r"frames (\S+)"}}
    curve = curve_of(learn(tmp_path, LEARNS, "0", readings=[other, READS]))
    assert max(curve.returns) < 30.0


def test_a_line_with_the_speed_and_the_return_has_both(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        print("frames 0 return 1.5", flush=True)
        time.sleep(0.5)
        print("frames 100 return 2.5", flush=True)
    """
    both = COUNT | {"returns": {"pattern": r"return (\S+)"}}
    curve = curve_of(learn(tmp_path, script, readings=[SPS, both]))
    assert curve.returns == (1.5, 2.5)
    assert curve.seconds == pytest.approx((0.0, 0.5), abs=0.2)


def test_a_training_that_falls_silent_is_ended_at_its_time(folder: Path, tmp_path: Path) -> None:
    script = LEARNS.replace("while True", "while done < 1000") + "    time.sleep(300)\n"
    outcome = learn(tmp_path, script, "0", max_s=2.0)
    assert curve_of(outcome).seconds[-1] < 1.0
    assert outcome.message.startswith("trained for 2")
    assert outcome.wall_s < 15.0


def test_a_training_of_a_few_slow_updates_has_the_speed_of_its_points(
    folder: Path, tmp_path: Path
) -> None:
    script = LEARNS.replace("time.sleep(0.02)", "time.sleep(0.5)")
    outcome = learn(tmp_path, script, "0", max_s=1.2)
    curve_of(outcome)
    assert outcome.measurement is not None
    assert outcome.measurement.steps_per_second == pytest.approx(200.0, rel=0.2)


@pytest.mark.parametrize("readings", [[COUNT], [SPS | {"preset": "mine"}, COUNT]])
def test_a_search_for_learning_ends_where_no_return_is_known(
    readings: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    outcome = run(tmp_path, LEARNS, "0", readings=readings, needs_return=True)
    assert outcome.kind is OutcomeKind.ERROR
    assert outcome.ends_search
    assert "--objective learning needs the return" in outcome.message
    assert "give --return" in outcome.message


def test_the_return_is_told_beside_a_speed(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, LEARNS, "0", readings=[READS], needs_return=True)
    assert outcome.measurement is not None, outcome.message
    assert outcome.measurement.curve is None
    assert 0.0 < outcome.measurement.health["mean_return"] < 60.0


def test_a_training_that_is_timed_by_a_scalar_began_at_its_first_event(
    folder: Path, tmp_path: Path
) -> None:
    """The first event is read two seconds late."""
    scalar = {"kind": "scalar", "pattern": "train/loss"} | RETURNS
    script = SCALARS.replace("{tag}", "train/loss").replace(
        "flush_secs=1, max_queue=1", "flush_secs=2"
    )
    script += '        print("return", 1.0, flush=True)\n'
    outcome = learn(tmp_path, script, readings=[scalar], arguments=OURS, max_s=4.0)
    curve = curve_of(outcome)
    assert curve.seconds[0] > 0.5
    assert curve.seconds[-1] < 4.5
