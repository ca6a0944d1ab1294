"""Commands that end, or are ended: by what cause, and with nothing left behind."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import time
import venv
from pathlib import Path

import psutil
import pytest

from places import PYTHONPATH
from scripts import OURS, SAMPLING, SPS, STEADY, run
from trainables.classify import classify
from trainables.command.options import FACTORY
from trainables.measurement import OutcomeKind, TrialRequest

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
    "says that memory is used up, and ends as if all was well": (
        "print('SPS: 1')\nprint('CUDA out of memory. Tried to allocate 2 GiB.')",
        OutcomeKind.DEVICE_MEMORY,
        "printed 'CUDA out of memory. Tried to allocate 2 GiB.' and the trial exited with status 0",
    ),
    "dies of threads": (
        'raise RuntimeError("can\'t start new thread")',
        OutcomeKind.THREAD_LIMIT,
        "could not create another thread",
    ),
    "exits at once": (
        "print('nothing to do')",
        OutcomeKind.INVALID,
        "its speed (was its total less than one update?): its last lines are: nothing to do",
    ),
    "says nothing at all": (
        "",
        OutcomeKind.INVALID,
        "its speed (was its total less than one update?): it printed nothing",
    ),
    "ends too early": (
        "for _ in range(3): print('SPS: 1')",
        OutcomeKind.INVALID,
        "ended by itself after 3 readings, too few to time: give it a larger total",
    ),
    "never says its speed": (
        "import time\nprint('step 1 of 9')\ntime.sleep(60)",
        OutcomeKind.TIMEOUT,
        "no line matched '^SPS:' in 2 s (if it takes longer to start, give --trial-timeout): its "
        "last lines are: step 1 of 9",
    ),
    "never says its speed, for a limit": (
        "import time\nprint('pthread_create failed: Resource temporarily unavailable')\n"
        "time.sleep(60)",
        OutcomeKind.THREAD_LIMIT,
        "during build, the trial's time was up (60 s): it could not create another thread",
    ),
    "is killed by a signal": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
        OutcomeKind.ERROR,
        "the trial was ended by SIGSEGV",
    ),
    "has a program that is killed": (
        "import subprocess, sys\nsys.exit(128 - subprocess.call(['sh', '-c', 'kill -9 $$']))",
        OutcomeKind.NODE_LOST,
        "the trial exited with status 137, by someone",
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


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("", OutcomeKind.TIMEOUT, "after its first reading, of which there were 1 in all"),
        (
            "RuntimeError: can't start new thread",
            OutcomeKind.THREAD_LIMIT,
            "time was up (10 s): it",
        ),
    ],
    ids=["in silence", "with evidence of a limit"],
)
def test_a_command_that_says_its_speed_too_rarely_is_told_so_unless_a_limit_is_seen(
    said: str, kind: OutcomeKind, words: str, folder: Path, tmp_path: Path
) -> None:
    script = f"import time\nprint('SPS: 1')\nprint({said!r})\ntime.sleep(60)"
    outcome = run(tmp_path, script, timeout_s=10.0)
    assert (outcome.kind, words in outcome.message) == (kind, True), outcome.message


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


LATE = """
    import time
    for n in range(40):
        print("SPS: 1")
        time.sleep(0.02)
    print("CUDA error: out of memory")
"""


@pytest.mark.parametrize(
    ("num_updates", "kind"),
    [
        (None, OutcomeKind.COMPLETED),
        (10, OutcomeKind.COMPLETED),
        (10**6, OutcomeKind.DEVICE_MEMORY),
    ],
)
def test_a_command_that_was_measured_may_end_in_used_up_memory(
    num_updates: int | None, kind: OutcomeKind, folder: Path, tmp_path: Path
) -> None:
    """Its last evaluation may be what did not fit; of a soak it would be its training."""
    sampling = dataclasses.replace(SAMPLING, min_blocks=1000, max_measure_s=60.0)
    outcome = run(tmp_path, LATE, num_updates=num_updates, sampling=sampling)
    assert outcome.kind is kind, outcome.message
    assert (outcome.measurement is not None) == (kind is OutcomeKind.COMPLETED)


SCALARS_AFTER = """
    import time
    from tensorboardX import SummaryWriter
    writer = SummaryWriter("runs/one")
    for n in range(80):
        time.sleep(0.02)
        if n == 50:
            print("CUDA error: out of memory", flush=True)
            time.sleep(0.5)
        if n < {until}:
            writer.add_scalar("loss", 0.5, n)
    writer.close()
    print("done")
"""


@pytest.mark.parametrize(
    ("until", "kind"), [(50, OutcomeKind.DEVICE_MEMORY), (80, OutcomeKind.COMPLETED)]
)
def test_a_scalar_tells_that_it_recovered_if_it_was_made_later(
    until: int, kind: OutcomeKind, folder: Path, tmp_path: Path
) -> None:
    """The file has all of them only in the end."""
    scalar = {"kind": "scalar", "pattern": "loss"}
    script = SCALARS_AFTER.replace("{until}", str(until))
    sampling = dataclasses.replace(SAMPLING, max_measure_s=60.0)
    outcome = run(
        tmp_path,
        script,
        readings=[scalar],
        arguments=OURS,
        num_updates=10**6,
        sampling=sampling,
    )
    assert outcome.kind is kind, outcome.message


def test_a_person_s_own_words_for_used_up_memory_count(folder: Path, tmp_path: Path) -> None:
    script = "print('not enough VRAM, giving up')\nraise SystemExit(1)"
    told = run(tmp_path, script, oom="not enough VRAM")
    assert told.kind is OutcomeKind.DEVICE_MEMORY
    assert "printed 'not enough VRAM' and the trial exited with status 1" in told.message
    assert run(tmp_path, script).kind is OutcomeKind.ERROR
    caught = "print('not enough VRAM, giving up')"
    told = run(tmp_path, caught, oom="not enough VRAM")
    assert told.kind is OutcomeKind.DEVICE_MEMORY
    assert "printed 'not enough VRAM' and the trial exited with status 0" in told.message
    assert run(tmp_path, caught).kind is OutcomeKind.INVALID


def test_a_program_that_is_not_there_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, "", arguments=["no-such-program", "--x"])
    assert outcome.kind is OutcomeKind.ERROR
    assert "no-such-program cannot be started: No such file or directory" in outcome.message


NO_ROOM = """
    import os, resource
    from pathlib import Path
    from trainables.command.running import RunningCommand

    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if os.geteuid() == 0:
        os.setuid(65534)  # root is not limited
    with RunningCommand(["true"], Path("/"), dict(os.environ)):
        print("it has begun")
"""


def test_a_limit_of_processes_is_no_mistake_in_a_command() -> None:
    """A mistake would end the whole search, where a smaller configuration may fit."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NO_ROOM)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "WorkloadInputError" not in done.stderr
    assert classify(done.returncode, done.stderr)[0] is OutcomeKind.THREAD_LIMIT, done.stderr


@pytest.mark.parametrize("python", [".venv/bin/python", "../venv/bin/python"])
def test_the_python_of_a_virtual_environment_is_that_one(
    python: str, folder: Path, tmp_path: Path
) -> None:
    place = Path(python).parent.parent
    venv.create(place, with_pip=False, symlinks=True)
    outcome = run(tmp_path, "import sys\nprint(sys.prefix)", arguments=[python, "train.py"])
    assert outcome.message.endswith(f"its last lines are: {place.resolve()}"), outcome.message


def test_a_configuration_fills_in_arguments_and_variables(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
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
        "--word={env.WORD}",
        config={"num_envs": 6, "env.WORD": "eight"},
        variables={"WORKERS": "{num_envs // 2}"},
        seed=11,
    )
    log = (tmp_path / "trial.log").read_text()
    place = str(tmp_path / "trials" / "trial-")
    assert log.startswith(f"['--envs=6', '{place}"), log[:300]
    assert "'{\"seed\": 11}', '--word=eight'] 3 None " + place in log


@pytest.mark.parametrize(
    ("environment", "variables", "project"),
    [
        ({}, {}, "{folder}"),
        ({"UV_PROJECT": "/theirs"}, {}, "/theirs"),
        ({"UV_PROJECT": "/theirs"}, {"UV_PROJECT": "/mine"}, "/mine"),
    ],
)
def test_uv_takes_the_project_of_the_person_s_folder_and_not_of_the_run_s(
    environment: dict[str, str],
    variables: dict[str, str],
    project: str,
    folder: Path,
    tmp_path: Path,
) -> None:
    """It would install an environment into each run's folder."""
    script = "import os\nprint(os.environ['UV_PROJECT'])"
    outcome = run(tmp_path, script, environment=environment, variables=variables)
    said = f"its last lines are: {project.format(folder=folder)}"
    assert outcome.message.endswith(said), outcome.message


@pytest.mark.parametrize(
    ("environment", "variables", "address"),
    [
        ({}, {}, "local"),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, {"RAY_ADDRESS": "auto"}, "auto"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_ray_starts_in_the_run_and_joins_none_that_runs_here_unless_told(
    environment: dict[str, str], variables: dict[str, str], address: str, tmp_path: Path
) -> None:
    """Its processes would be no children, and its GPUs those of others."""
    script = "import os\nprint(os.environ['RAY_ADDRESS'])"
    outcome = run(tmp_path, script, environment=environment, variables=variables)
    assert outcome.message.endswith(f"its last lines are: {address}"), outcome.message


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
    import os, signal, time
    assert not os.path.exists("runs"), "the folder is empty"
    os.mkdir("runs")
    with open(os.environ["PLACE"], "w") as file:
        file.write(os.getcwd())
    os.kill(os.getppid(), signal.SIGKILL)  # the trial's own process, which tidies up no more
    time.sleep(300)
"""


def test_the_folder_of_a_trial_that_is_killed_is_gone(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    outcome = run(tmp_path, FILLS, environment={"PLACE": str(place)})
    assert outcome.kind is OutcomeKind.NODE_LOST, outcome.message
    assert place.read_text().startswith(f"{tmp_path / 'trials' / 'trial-'}")
    assert list((tmp_path / "trials").iterdir()) == []
    run(tmp_path, FILLS, environment={"PLACE": str(place)}, keep_outputs=True)
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
