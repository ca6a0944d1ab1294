"""Whole searches as a person starts them: the command line, Ray, trials, profile, and every end."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pids_cgroup import PidsCgroup
from places import SUPPORT, TESTS
from search_command import SHORT, TINY, command, environment, report_of, run, table
from subprocesses import descendants, is_alive, read_until
from tune.profile import file as profile_file

SURFACE = ("--workload", "surface_workload:factory", "--memory-budget", "120MB")
MEASURED = {"completed", "slow"}
"""A busy machine may make an explored trial honestly slow."""

pytestmark = [pytest.mark.slow, pytest.mark.seconds(560), pytest.mark.timeout(1500)]


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
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 200) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what the test waited for did not come"
        time.sleep(0.2)


def test_a_search_finishes_on_a_host_with_many_cpus_and_few_threads(
    tmp_path: Path,
    fake_cpus: Callable[[int], dict[str, str]],
    pids_cgroup: Callable[[int], PidsCgroup],
) -> None:
    cgroup = pids_cgroup(400)
    ended = cgroup.run(
        command(
            *TINY,
            *SHORT,
            "--max-runs",
            "1",
            "--out",
            str(tmp_path / "out"),
            "--profiles",
            str(tmp_path / "profiles"),
        ),
        env=environment(**fake_cpus(384)),
        timeout_s=400,
    )
    assert ended.returncode == 0, ended
    assert list((tmp_path / "profiles").glob("*-fastest.yaml"))
    assert cgroup.events == 0
    rows = table(tmp_path / "out")
    assert {row["kind"] for row in rows} == {"completed"}
    assert max(int(row["peak_threads"]) for row in rows) <= 40


def test_infeasible_configurations_are_results_and_the_best_feasible_one_wins(
    tmp_path: Path,
) -> None:
    too_large = ("--baseline", "num_envs=1024", "num_steps=128", "batch_size=8192")
    ended = run(tmp_path, *SURFACE, *SHORT, *too_large, "--max-runs", "8", "--out", "out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = table(tmp_path / "out")
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "device_memory"
    assert set(kinds[1:]) <= MEASURED | {"device_memory"}
    # As training runs: a niced trial is measured slower wherever something else runs too.
    assert {row["health/niceness"] for row in rows} <= {"", str(float(os.nice(0)))}
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    assert profile_file.read(path).config["num_envs"] >= 512


def test_the_readmes_gymnax_example_is_timed_from_its_folder() -> None:
    """A trial without Ray; a module of a folder is searched below."""
    space = ("--space", "num_envs=256", "num_steps=200")
    ended = run(TESTS, "--check", "--workload", "gymnax_cartpole:factory", *space)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("256 envs x 200 steps: ")


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
        assert process.wait(timeout=700) == 130
    finally:
        process.kill()
    [path] = (tmp_path / "profiles").glob("*fastest*.yaml")
    assert profile_file.read(path).partial
    assert "interrupted; this is the best so far" in report_of(tmp_path / "out")


def test_interrupts_keep_the_best_so_far_and_resume_repeats_nothing(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """One search is interrupted by Ctrl-C, resumed, told to terminate, and resumed to its end."""
    arguments = (*SURFACE, *SHORT, "--max-runs", "6", "--out", "out")
    process = start(*arguments)
    read_until(process, "trial 2 (")
    second = run(tmp_path, *arguments, "--resume")
    assert second.returncode == 2
    assert f"another search (process {process.pid}) runs in out" in second.stderr
    first_part = interrupt(process, signal.SIGINT, tmp_path)
    process = start(*arguments, "--resume")
    read_until(process, " measured: ")
    second_part = interrupt(process, signal.SIGTERM, tmp_path)
    assert len(second_part) > len(first_part)
    assert second_part[: len(first_part)] == first_part
    ended = run(tmp_path, *arguments, "--resume")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = table(tmp_path / "out")
    assert rows[: len(second_part)] == second_part
    explored = [
        (row["num_envs"], row["num_steps"], row["batch_size"])
        for row in rows
        if row["stage"] in {"baseline", "ramp", "search"}
    ]
    assert len(explored) == len(set(explored))


def interrupt(
    process: "subprocess.Popen[str]", sent: signal.Signals, folder: Path
) -> list[dict[str, str]]:
    """Interrupt a search, see that its best so far is kept, and return its trials."""
    process.send_signal(sent)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 130, output
    assert "interrupted" in output
    [path] = (folder / "profiles").glob("*fastest*.yaml")
    assert profile_file.read(path).partial
    assert "interrupted; this is the best so far" in report_of(folder / "out")
    return table(folder / "out")


def test_a_signal_to_all_of_its_processes_keeps_the_best_so_far_within_seconds(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """`timeout`, systemd and `docker stop` end Ray's processes by the same signal."""
    process = start(*SURFACE, *SHORT, "--max-runs", "6", "--out", "out")
    read_until(process, "trial 2 (")
    with contextlib.suppress(PermissionError):  # the tests beside this are none of its seconds
        os.setpriority(os.PRIO_PGRP, process.pid, -10)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)
    assert time.monotonic() - began < 8, "docker's SIGKILL comes after 10 s"
    assert process.returncode == 130
    [path] = (tmp_path / "profiles").glob("*fastest*.yaml")
    assert profile_file.read(path).partial
    assert "interrupted; this is the best so far" in report_of(tmp_path / "out")


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_process_of_ray_that_is_killed_costs_no_result(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"], name: str
) -> None:
    process = start(*SURFACE, *SHORT, "--max-runs", "6", "--out", "out")
    read_until(process, "trial 2 (")
    # One that it starts bears its name until it is another program.
    victim = min(
        descendants(process, lambda member: member.name() == name), key=psutil.Process.create_time
    )
    victim.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "error: a process of Ray itself was ended" in output
    assert list((tmp_path / "profiles").glob("*fastest*.yaml"))


def test_a_killed_search_loses_its_running_trial_and_leaves_no_process(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    arguments = (*SURFACE, *SHORT, "--max-runs", "3", "--out", "out")
    process = start(*arguments)
    read_until(process, "trial 2 (")
    trials: list[psutil.Process] = []

    def trial_is_found() -> bool:
        trials.extend(
            descendants(process, lambda member: "launch.py trial" in " ".join(member.cmdline()))
        )
        return bool(trials)

    wait_for(trial_is_found)
    os.killpg(process.pid, signal.SIGKILL)  # with its guard, which would conclude
    process.wait()
    wait_for(lambda: not any(map(is_alive, trials)))
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


def test_a_lost_worker_is_no_verdict_on_the_configuration_though_nobody_reads_that(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """The search goes on after both: what it prints has no reader any more."""
    process = start(*SURFACE, *SHORT, "--max-runs", "2", "--out", "out")
    read_until(process, "trial 1 (")

    found: list[psutil.Process] = []

    def actor_is_found() -> bool:
        """Keep it: its title changes as it idles (ray::RayTrial) and works (ray::000_baseline)."""
        title = re.compile(r"ray::(RayTrial|\d+_)")
        found.extend(
            descendants(process, lambda member: bool(title.match(" ".join(member.cmdline()))))
        )
        return bool(found)

    wait_for(actor_is_found)
    assert process.stdout is not None
    process.stdout.close()
    found[0].kill()
    assert process.wait(timeout=700) == 0, (tmp_path / "out" / "run.log").read_text()
    assert list((tmp_path / "profiles").glob("*fastest*.yaml"))
    rows = table(tmp_path / "out")
    lost = [row for row in rows if row["kind"] == "node_lost"]
    assert len(lost) == 1
    again = [row for row in rows if row["num_envs"] == lost[0]["num_envs"] and row not in lost]
    assert again[0]["kind"] in MEASURED


def test_a_cap_that_had_to_be_halved_goes_into_the_profile_and_stdout_has_json_lines_alone(
    tmp_path: Path,
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs, to halve the cap")
    options = ("--max-runs", "2", "--out", "out", "--option", "max_cpus=1", "--json")
    ended = run(tmp_path, *SURFACE, *SHORT, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    names = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert names[0] == "preflight"
    assert names[-1] == "finished"
    assert {"started", "trial_started", "trial_progress", "trial_ended"} <= set(names)
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    found = profile_file.read(path)
    assert found.threads.cap == 1
    assert found.environment.variables["PJRT_NPROC"] == "1"
    assert {row["kind"] for row in table(tmp_path / "out")} <= MEASURED


def test_if_nothing_is_feasible_it_says_so_and_writes_no_profile(tmp_path: Path) -> None:
    small = (*SURFACE[:2], "--memory-budget", "1MB")
    ended = run(tmp_path, *small, *SHORT, "--max-runs", "3", "--out", "out")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "memory" in ended.stdout
    assert not (tmp_path / "profiles").exists()


def test_a_broken_workload_is_an_error_with_its_log(tmp_path: Path) -> None:
    """It is a module of the folder that the search is started in."""
    shutil.copy(SUPPORT / "surface_workload.py", tmp_path / "my_loop.py")
    mine = ("--workload", "my_loop:factory", *SURFACE[2:])
    ended = run(tmp_path, *mine, "--option", "broken_from=1", "--out", "out")
    assert ended.returncode == 1
    assert "this workload has a bug" in ended.stdout
    assert len(table(tmp_path / "out")) == 3
