"""Commands that are run, timed and ended, alive: scripts in miniature, each with one habit."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from places import PYTHONPATH
from search_spaces.config import Config
from trainables.command.options import FACTORY
from trainables.curve import LearningCurve, LearningGate, TrainingRequest
from trainables.measurement import Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling

SAMPLING = Sampling(block_s=0.1, relative_half_width=0.5, min_blocks=3, max_measure_s=2.0)
SPS = {"kind": "line", "pattern": "^SPS:", "steps": "num_envs * 8", "unit": "env step"}
COUNT = {"kind": "count", "pattern": r"frames (\d+)", "unit": "frame"}

STEADY = """
    import sys, time
    while True:
        time.sleep(0.02)
        print("SPS: 1")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which the trial stands."""
    person = tmp_path / "person"
    person.mkdir()
    monkeypatch.chdir(person)
    return person


def run(
    tmp_path: Path,
    script: str,
    *arguments: str,
    config: Config | None = None,
    environment: dict[str, str] | None = None,
    num_updates: int | None = None,
    timeout_s: float = 60.0,
    cpus: Sequence[int] | None = None,
    training: TrainingRequest | None = None,
    needs_return: bool = False,
    sampling: Sampling = SAMPLING,
    **options: Any,
) -> Outcome:
    """Run a script as one trial."""
    Path("train.py").write_text(textwrap.dedent(script))
    request = TrialRequest(
        workload=FACTORY,
        config=config or {"num_envs": 4},
        options={
            "arguments": ["python3", "train.py", *arguments],
            "readings": [SPS],
            "trials": str(tmp_path / "trials"),
            "patience_s": 30.0,
        }
        | options,
        platform="cpu",
        cpus=tuple(cpus or sorted(os.sched_getaffinity(0))),
        sampling=sampling,
        num_updates=num_updates,
        training=training,
        needs_return=needs_return,
    )
    *_, outcome = run_child(
        request,
        environment={**os.environ, **(environment or {})},
        log_path=tmp_path / "trial.log",
        thread_cap=2,
        timeout_s=timeout_s,
    )
    assert isinstance(outcome, Outcome)
    return outcome


def test_a_command_is_timed_by_its_lines_and_ended(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, STEADY)
    measured = outcome.measurement
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert measured is not None
    assert 200.0 < measured.steps_per_second <= 4 * 8 / 0.02
    assert measured.env_steps_per_update == 32
    assert measured.num_blocks >= 3
    assert outcome.wall_s < 20.0, "it would run for ever"
    assert list((tmp_path / "trials").iterdir()) == [], "its folder is gone"


def test_a_soak_takes_its_readings_and_its_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(tmp_path, STEADY, num_updates=5)
    assert outcome.measurement is not None
    assert outcome.measurement.measure_s >= SAMPLING.max_measure_s
    assert outcome.measurement.num_updates >= 5
    assert "of 5 updates" in outcome.message


def test_a_script_that_counts_by_time_is_timed_by_its_count(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        frames = 0
        while True:
            time.sleep(0.05)
            frames += 300
            print(f"\\x1b[36mFps nan. frames {frames}\\x1b[0m", end="\\r")
    """
    outcome = run(tmp_path, script, readings=[SPS, COUNT])
    assert outcome.measurement is not None, outcome.message
    assert 1000.0 < outcome.measurement.steps_per_second <= 6000.0


LIMITS_AND_MISTAKES = {
    "dies of memory": (
        "raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 GiB.')",
        OutcomeKind.DEVICE_MEMORY,
        "CUDA out of memory",
    ),
    "says that memory is used up, and lives on": (
        "import time\nprint('CUDA error: out of memory')\ntime.sleep(60)",
        OutcomeKind.DEVICE_MEMORY,
        "printed 'CUDA error: out of memory' and went on, so it was ended",
    ),
    "dies of threads": (
        'raise RuntimeError("can\'t start new thread")',
        OutcomeKind.THREAD_LIMIT,
        "could not create another thread",
    ),
    "exits at once": (
        "print('nothing to do')",
        OutcomeKind.INVALID,
        "ended by itself and did not say its speed: its last lines are: nothing to do",
    ),
    "says nothing at all": (
        "",
        OutcomeKind.INVALID,
        "ended by itself and did not say its speed: it printed nothing",
    ),
    "ends too early": (
        "for _ in range(3): print('SPS: 1')",
        OutcomeKind.INVALID,
        "ended by itself after 3 readings, too few to time: give it a larger total",
    ),
    "never says its speed": (
        "import time\nprint('step 1 of 9')\ntime.sleep(60)",
        OutcomeKind.ERROR,
        "no line matched '^SPS:' in 2 s: its last lines are: step 1 of 9",
    ),
    "is killed by a signal": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
        OutcomeKind.ERROR,
        "the trial was ended by SIGSEGV",
    ),
    "asks a person": ("input('go on? ')", OutcomeKind.ERROR, "EOFError"),
    "needs a terminal": (
        "import os\nos.get_terminal_size(0)",
        OutcomeKind.ERROR,
        "OSError: [Errno 25]",
    ),
    "has a defect": ("import time\n1 / 0", OutcomeKind.ERROR, "ZeroDivisionError"),
}


@pytest.mark.parametrize("name", LIMITS_AND_MISTAKES)
def test_an_end_is_told_by_its_cause(name: str, folder: Path, tmp_path: Path) -> None:
    script, kind, words = LIMITS_AND_MISTAKES[name]
    patience_s = 2.0 if "never" in name else 30.0
    outcome = run(tmp_path, script, patience_s=patience_s)
    assert (outcome.kind, words in outcome.message) == (kind, True), outcome.message
    assert outcome.measurement is None


RECOVERS = """
    import time
    for _ in range(5):
        print("SPS: 1")
        time.sleep(0.02)
    print("CUDA error: out of memory, so the batch is halved", flush=True)
    for _ in range(8):
        time.sleep(1.0)
        print("SPS: 1")
"""


def test_a_command_that_recovers_from_used_up_memory_goes_on(folder: Path, tmp_path: Path) -> None:
    """It is soaked for longer than one may live on that does not train."""
    sampling = dataclasses.replace(SAMPLING, max_measure_s=60.0)
    outcome = run(tmp_path, RECOVERS, num_updates=10**6, sampling=sampling)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message


def test_a_person_s_own_words_for_used_up_memory_count(folder: Path, tmp_path: Path) -> None:
    script = "print('not enough VRAM, giving up')\nraise SystemExit(1)"
    told = run(tmp_path, script, oom="not enough VRAM")
    assert told.kind is OutcomeKind.DEVICE_MEMORY
    assert "printed 'not enough VRAM' and the trial exited with status 1" in told.message
    assert run(tmp_path, script).kind is OutcomeKind.ERROR


def test_a_program_that_is_not_there_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, "", arguments=["no-such-program", "--x"])
    assert outcome.kind is OutcomeKind.ERROR
    assert "no-such-program cannot be started: No such file or directory" in outcome.message


def test_a_configuration_fills_in_arguments_and_variables(folder: Path, tmp_path: Path) -> None:
    script = """
        import os, sys, time
        print(sys.argv[1:], os.environ["WORKERS"], os.environ.get("PYTHONPATH"), os.getcwd())
        while True:
            time.sleep(0.02)
            print("SPS: 1")
    """
    run(
        tmp_path,
        script,
        "--envs={num_envs}",
        "{trial_dir}",
        '{"seed": {seed}}',
        config={"num_envs": 6},
        variables={"WORKERS": "{num_envs // 2}"},
        seed=11,
    )
    log = (tmp_path / "trial.log").read_text()
    place = str(tmp_path / "trials" / "trial-")
    assert log.startswith(f"['--envs=6', '{place}"), log[:300]
    assert "'{\"seed\": 11}'] 3 None " + place in log


def test_each_run_has_a_folder_of_its_own_with_what_lies_beside(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "sizes.txt").write_text("found")
    (folder / "runs").mkdir()
    (folder / "helper.py").write_text("WORD = 'helped'")
    script = """
        import os, time
        import helper
        print(open("conf/sizes.txt").read(), helper.WORD, sorted(os.listdir()))
        os.mkdir("runs")
        open("runs/log.txt", "w").write("mine")
        while True:
            time.sleep(0.02)
            print("SPS: 1")
    """
    outcome = run(tmp_path, script, keep_outputs=True)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    log = (tmp_path / "trial.log").read_text()
    assert log.startswith("found helped ['conf', 'helper.py', 'train.py']")
    [kept] = (tmp_path / "trials").iterdir()
    assert (kept / "runs" / "log.txt").read_text() == "mine"
    assert list((folder / "runs").iterdir()) == [], "the person's own folder is as it was"


def test_nothing_of_a_command_outlives_it(folder: Path, tmp_path: Path) -> None:
    script = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:  # a daemon: a session and a parent of its own
                open(os.environ["PID_FILE"], "w").write(str(os.getpid()))
                time.sleep(300)
            os._exit(0)
        while True:
            time.sleep(0.02)
            print("SPS: 1")
    """
    pid_file = tmp_path / "pid"
    outcome = run(tmp_path, script, environment={"PID_FILE": str(pid_file)})
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


FILLS = """
    import os, time
    assert not os.path.exists("runs"), "the folder is empty"
    os.mkdir("runs")
    print("stands in", os.getcwd(), flush=True)
    time.sleep(300)
"""


def test_the_folder_of_a_command_that_is_killed_is_gone(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, FILLS, timeout_s=4.0)
    assert outcome.kind is OutcomeKind.TIMEOUT, outcome.message
    assert f"stands in {tmp_path / 'trials' / 'trial-'}" in (tmp_path / "trial.log").read_text()
    assert list((tmp_path / "trials").iterdir()) == []
    run(tmp_path, FILLS, timeout_s=4.0, keep_outputs=True)
    [kept] = (tmp_path / "trials").iterdir()
    assert (kept / "runs").is_dir()


def test_a_folder_that_cannot_be_made_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run(tmp_path, STEADY, trials=str(tmp_path / "file" / "trials"))
    assert outcome.kind is OutcomeKind.ERROR
    assert "no folder for it could be made: [Errno 20] Not a directory" in outcome.message


PARENT = """
    import json, os, pathlib, sys
    from cluster.structure import revive
    from trainables.measurement import TrialRequest
    from trainables.process import run_child

    request = revive(TrialRequest, json.loads(sys.argv[1]))
    log = pathlib.Path("trial.log")
    for _ in run_child(request, environment=os.environ, log_path=log, thread_cap=2):
        pass
"""


def test_a_command_dies_with_the_parent_of_its_trial(folder: Path, tmp_path: Path) -> None:
    Path("train.py").write_text(
        "import os, time\n"
        "open('pid.part', 'w').write(str(os.getpid()))\n"
        "os.rename('pid.part', os.environ['PID_FILE'])\n"
        "time.sleep(300)\n"
    )
    request = TrialRequest(
        workload=FACTORY,
        config={},
        options={
            "arguments": ["python3", "train.py"],
            "readings": [SPS],
            "trials": str(tmp_path / "trials"),
        },
        platform="cpu",
        cpus=tuple(sorted(os.sched_getaffinity(0))),
    )
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), json.dumps(dataclasses.asdict(request))],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "PID_FILE": str(pid_file)},
    )
    deadline = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_a_loud_command_is_timed_and_its_log_is_bounded(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        for n in range(80):
            print("x" * 100_000)
            print("SPS: 1")
        raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB.")
    """
    outcome = run(tmp_path, script)
    assert outcome.kind in (OutcomeKind.DEVICE_MEMORY, OutcomeKind.COMPLETED)
    log = tmp_path / "trial.log"
    assert log.stat().st_size < 10 * 2**20
    if outcome.kind is OutcomeKind.DEVICE_MEMORY:
        assert "a log is bounded" in log.read_text()


def test_a_command_that_ends_gently_may_tidy_up(folder: Path, tmp_path: Path) -> None:
    script = """
        import os, signal, sys, time
        def tidy(*_):
            open(os.environ["TIDY"], "w").write("done")
            sys.exit(0)
        signal.signal(signal.SIGTERM, tidy)
        while True:
            time.sleep(0.02)
            print("SPS: 1")
    """
    tidied = tmp_path / "tidied"
    run(tmp_path, script, environment={"TIDY": str(tidied)})
    assert tidied.read_text() == "done"


OURS = [sys.executable, "train.py"]
"""The interpreter that has tensorboardX."""

SCALARS = """
    import os, time
    from tensorboardX import SummaryWriter
    writer, step = SummaryWriter("runs/one", flush_secs=1, max_queue=1), 0
    while True:
        time.sleep(0.02)
        step += 100
        writer.add_scalar("{tag}", 0.5, step)
"""


def test_a_command_is_timed_by_a_scalar_that_it_writes(folder: Path, tmp_path: Path) -> None:
    scalar = {"kind": "scalar", "pattern": "train/loss", "steps": "2", "unit": "frame"}
    script = SCALARS.replace("{tag}", "train/loss")
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS)
    assert outcome.measurement is not None, outcome.message
    assert outcome.measurement.unit == "frames"
    # 100 steps of two frames in 20 ms and a little.
    assert 2_000 < outcome.measurement.steps_per_second <= 10_000


def test_a_scalar_that_never_comes_is_told_with_those_that_do(folder: Path, tmp_path: Path) -> None:
    scalar = {"kind": "scalar", "pattern": "train/loss"}
    script = SCALARS.replace("{tag}", "losses/value")
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS, patience_s=6.0)
    assert outcome.kind is OutcomeKind.ERROR
    assert "no scalar 'train/loss'" in outcome.message
    assert outcome.message.endswith("it wrote losses/value.")


CUMULATIVE = """
    import time
    started, done = time.time() - 0.5, 0  # half a second of compiling came before
    while True:
        time.sleep(0.02)
        done += 100
        print("fps:", done / (time.time() - started))
"""


def test_a_mean_since_the_start_is_not_taken_for_a_rate(folder: Path, tmp_path: Path) -> None:
    rate = {"kind": "rate", "pattern": r"fps: (\S+)"}
    outcome = run(tmp_path, CUMULATIVE, readings=[rate])
    assert outcome.kind is OutcomeKind.ERROR
    assert "that is a mean since the start" in outcome.message
    assert outcome.ends_search


WIDENING = """
    import os, time
    os.sched_setaffinity(0, range(os.cpu_count()))
    while True:
        time.sleep(0.02)
        print("SPS: 1")
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU alone")
@pytest.mark.parametrize("script", [STEADY, WIDENING])
def test_a_training_that_takes_more_cpus_than_its_cap_is_seen(
    script: str, folder: Path, tmp_path: Path
) -> None:
    outcome = run(tmp_path, script, cpus=(min(os.sched_getaffinity(0)),))
    assert outcome.measurement is not None, outcome.message
    taken = len(os.sched_getaffinity(0)) if script is WIDENING else None
    assert outcome.num_cpus_taken == taken


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
