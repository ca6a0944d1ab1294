"""Whole searches as a person starts them: the command line, Ray, trials, profile, and every end."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import yaml

from cluster.node import ray_env
from pids_cgroup import PidsCgroup
from places import SUPPORT, TESTS
from subprocesses import read_until
from tune.profile import file as profile_file

SURFACE = ("--workload", "surface_workload:factory", "--memory-budget", "120MB")
SHORT = ("--final-rounds", "1", "--finalists", "1", "--soak-updates", "3")
TINY = ("--space", "num_envs=64,128", "num_steps=32", "batch_size=512,1024")
"""Real PPO, small: two seconds an update are not needed to see that all of it fits together."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tune.jax_phase12", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SUPPORT)} | variables


def run(
    cwd: Path, *arguments: str, timeout_s: float = 300, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def report_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a search in the background; whatever is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command(*arguments),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        tree = descendants(process) if process.poll() is None else []
        for member in tree:
            member.kill()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what the test waited for did not come"
        time.sleep(0.2)


def test_a_real_search_ends_with_a_profile_that_holds(tmp_path: Path) -> None:
    ended = run(tmp_path, *TINY, *SHORT, "--max-runs", "3", "--out", "out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    for text in ("finals:", "soak: 3 of 3 updates", "synthetic", "profile validate"):
        assert text in ended.stdout
    [path] = (tmp_path / "profiles").glob("*-phase1-fastest.yaml")
    found = profile_file.read(path)
    plain = yaml.safe_load(path.read_text())
    assert plain["num_envs"] * plain["num_steps"] == plain["batch_size"] * plain["num_minibatches"]
    assert found.speed.low <= plain["expected_sps"] <= found.speed.high
    assert found.confirmed
    assert found.soak is not None
    assert found.soak.updates == 3
    assert found.data["synthetic"] is True
    rows = table(tmp_path / "out")
    assert rows[0]["stage"] == "baseline"
    assert rows[-1]["stage"] == "soak"
    # A busy machine may make an explored trial honestly slow; what a profile rests on runs through.
    assert {row["kind"] for row in rows} <= {"completed", "slow"}
    assert {row["kind"] for row in rows if row["stage"] in {"final", "soak"}} == {"completed"}
    assert "file: out/report.html" in ended.stdout
    page = report_of(tmp_path / "out")
    for text in ("Speed over num_envs", "compile", "soak", plain["machine_class"]):
        assert text in page
    token = Path(ray_env.environment(os.environ)["RAY_AUTH_TOKEN_PATH"]).read_bytes()
    assert len(token) == 64
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in written if token in file.read_bytes()]
    checked = subprocess.run(
        [sys.executable, "-m", "tune.profile", "validate", str(path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    # On a busy machine the speed may be off by more than 10 %, and it then has to say so.
    assert checked.returncode in {0, 1}, checked.stdout + checked.stderr
    assert "of what the profile promises" in checked.stdout


@pytest.mark.parametrize(("num_cpus", "limit"), [(128, 400), (384, 1024)])
def test_a_search_finishes_on_a_host_with_many_cpus_and_few_threads(
    tmp_path: Path,
    fake_cpus: Callable[[int], dict[str, str]],
    pids_cgroup: Callable[[int], PidsCgroup],
    num_cpus: int,
    limit: int,
) -> None:
    cgroup = pids_cgroup(limit)
    ended = cgroup.run(
        command(
            *TINY,
            *SHORT,
            "--max-runs",
            "2",
            "--out",
            str(tmp_path / "out"),
            "--profiles",
            str(tmp_path / "profiles"),
        ),
        env=environment(**fake_cpus(num_cpus)),
        timeout_s=400,
    )
    assert ended.returncode == 0, ended
    assert list((tmp_path / "profiles").glob("*-fastest.yaml"))
    assert cgroup.events == 0
    assert max(int(row["peak_threads"]) for row in table(tmp_path / "out")) <= 40


def test_too_small_a_limit_stops_before_ray_and_names_the_value_that_would_do(
    tmp_path: Path, pids_cgroup: Callable[[int], PidsCgroup]
) -> None:
    ended = pids_cgroup(60).run(command("--out", str(tmp_path / "out")), env=environment())
    assert ended.returncode == 2
    assert "smallest limit that would do" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_infeasible_configurations_are_results_and_the_best_feasible_one_wins(
    tmp_path: Path,
) -> None:
    too_large = ("--baseline", "num_envs=1024", "num_steps=128", "batch_size=8192")
    ended = run(tmp_path, *SURFACE, *SHORT, *too_large, "--max-runs", "8", "--out", "out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = table(tmp_path / "out")
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "device_memory"
    assert set(kinds[1:]) <= {"completed", "device_memory", "slow"}
    # As training runs: a niced trial is measured slower wherever something else runs too.
    assert {row["health/niceness"] for row in rows} <= {"", str(float(os.nice(0)))}
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    assert profile_file.read(path).config["num_envs"] >= 512


def test_the_readmes_gymnax_example_is_tuned_from_its_folder(tmp_path: Path) -> None:
    ended = subprocess.run(
        command(
            *("--workload", "gymnax_cartpole:factory", *SHORT, "--max-runs", "2"),
            *("--space", "num_envs=256:512", "num_steps=200"),
            *("--out", str(tmp_path / "out"), "--profiles", str(tmp_path / "profiles")),
        ),
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    assert set(profile_file.read(path).config) == {"num_envs", "num_steps"}


def test_json_lines_and_nothing_else_are_on_stdout(tmp_path: Path) -> None:
    ended = run(tmp_path, *SURFACE, *SHORT, "--max-runs", "2", "--json")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "preflight"
    assert names[-1] == "finished"
    assert {"started", "trial_started", "trial_progress", "trial_ended"} <= set(names)


def test_a_search_goes_on_when_nobody_reads_what_it_prints(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start(*SURFACE, *SHORT, "--max-runs", "2", "--out", "out")
    read_until(process, "trial 0 (")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=90) == 0
    assert list((tmp_path / "profiles").glob("*fastest*.yaml"))


def test_a_lost_terminal_ends_a_search_as_an_interrupt_does(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        # The leader of a session, as a shell is.
        ["setsid", "--ctty", *command(*SURFACE, *SHORT, "--max-runs", "24", "--out", "out")],
        cwd=tmp_path,
        env=environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        while len(list((tmp_path / "out" / "trials").glob("*.log"))) < 4:
            os.read(master, 4096)  # the screen is drawn every second
        os.close(master)  # which hangs up on all who are in the foreground
        time.sleep(0.1)
        process.send_signal(signal.SIGHUP)  # and so does a shell, when it hears of it
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    [path] = (tmp_path / "profiles").glob("*fastest*.yaml")
    assert profile_file.read(path).partial
    assert "interrupted; this is the best so far" in report_of(tmp_path / "out")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_an_interrupt_keeps_the_best_so_far_and_resume_repeats_nothing(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"], sent: signal.Signals
) -> None:
    arguments = (*SURFACE, *SHORT, "--max-runs", "4", "--out", "out")
    process = start(*arguments)
    read_until(process, "trial 2 (")
    process.send_signal(sent)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted" in output
    [path] = (tmp_path / "profiles").glob("*fastest*.yaml")
    assert profile_file.read(path).partial
    assert "interrupted; this is the best so far" in report_of(tmp_path / "out")
    before = table(tmp_path / "out")
    ended = run(tmp_path, *arguments, "--resume")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = table(tmp_path / "out")
    assert after[: len(before)] == before
    explored = [
        (row["num_envs"], row["num_steps"], row["batch_size"])
        for row in after
        if row["stage"] in {"baseline", "ramp", "search"}
    ]
    assert len(explored) == len(set(explored))


def test_a_killed_search_loses_its_running_trial_and_leaves_no_process(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    arguments = (*SURFACE, *SHORT, "--max-runs", "3", "--out", "out")
    process = start(*arguments)
    read_until(process, "trial 2 (")
    family = descendants(process)
    trials = [member for member in family if "trainables.trial" in " ".join(member.cmdline())]
    process.kill()
    process.wait()
    wait_for(
        lambda: (
            not any(
                member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in trials
            )
        )
    )
    assert not (tmp_path / "out" / "report.html").exists()
    made = subprocess.run(
        [sys.executable, "-m", "tune.report", "out"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "it still runs, or was killed" in report_of(tmp_path / "out")
    ended = run(tmp_path, *arguments, "--resume")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "was killed" not in report_of(tmp_path / "out")
    numbers = [int(row["number"]) for row in table(tmp_path / "out")]
    assert numbers[:2] == [0, 1]


def test_a_lost_worker_is_no_verdict_on_the_configuration(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start(*SURFACE, *SHORT, "--max-runs", "2", "--out", "out")
    read_until(process, "trial 1 (")

    def actors() -> list[psutil.Process]:
        return [m for m in descendants(process) if "RayTrial" in " ".join(m.cmdline())]

    wait_for(lambda: bool(actors()))
    actors()[0].kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    rows = table(tmp_path / "out")
    lost = [row for row in rows if row["kind"] == "node_lost"]
    assert len(lost) == 1
    again = [row for row in rows if row["num_envs"] == lost[0]["num_envs"] and row not in lost]
    assert again[0]["kind"] == "completed"


def test_a_second_search_in_the_same_folder_is_refused(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start(*SURFACE, "--out", "out")
    read_until(process, "trial 0 (")
    second = run(tmp_path, *SURFACE, "--out", "out", "--resume")
    assert second.returncode == 2
    assert f"another search (process {process.pid}) runs in out" in second.stderr


def test_a_cap_that_had_to_be_halved_goes_into_the_profile(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs, to halve the cap")
    ended = run(
        tmp_path, *SURFACE, *SHORT, "--max-runs", "2", "--out", "out", "--option", "max_cpus=1"
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    found = profile_file.read(path)
    assert found.threads.cap == 1
    assert found.environment.variables["PJRT_NPROC"] == "1"
    assert {row["kind"] for row in table(tmp_path / "out")} == {"completed"}


def test_if_nothing_is_feasible_it_says_so_and_writes_no_profile(tmp_path: Path) -> None:
    small = (*SURFACE[:2], "--memory-budget", "1MB")
    ended = run(tmp_path, *small, *SHORT, "--max-runs", "3", "--out", "out")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "memory" in ended.stdout
    assert not (tmp_path / "profiles").exists()


def test_a_broken_workload_is_an_error_with_its_log(tmp_path: Path) -> None:
    ended = run(tmp_path, *SURFACE, "--option", "broken_from=1", "--out", "out")
    assert ended.returncode == 1
    assert "this workload has a bug" in ended.stdout
    assert len(table(tmp_path / "out")) == 3


MISTAKES: list[tuple[Sequence[str], str]] = [
    (("--data", "missing.csv"), "missing.csv"),
    (("--data", "bad.csv"), "close"),
    (("--space", "num_envs"), "num_envs=256"),
    (("--space", "batch_size=999"), "batch_size must divide"),
    (("--baseline", "hidden=3"), "hidden"),
    (("--max-time", "soon"), "10m"),
    (("--max-runs", "0"), "--max-runs"),
    (("--memory-budget", "lots"), "8GiB"),
    (("--thread-cap", "0"), "--thread-cap"),
    (("--device", "gpu"), "--device cpu"),
    (("--workload", "nowhere"), "package.module:factory"),
    (("--workload", "nowhere.at_all:factory"), "no module nowhere.at_all"),
    (("--option", "a=1"), "--workload"),
    (("--resume",), "--resume found no search"),
    (("--out", "/proc/nowhere"), "output folder"),
    (("--profiles", "bad.csv"), "--profiles"),
    (("--out", "damaged", "--resume"), "not a readable journal"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: Sequence[str], words: str
) -> None:
    (tmp_path / "bad.csv").write_text("time,open,high,low,volume\n2024-01-01,1,1,1,1\n")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "journal.log").write_text("garbage\n{\n")
    ended = run(tmp_path, *arguments, "--json")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "error" in ended.stderr.lower()
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
