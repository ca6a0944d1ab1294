"""A trial's process, alive: every way it can end, and that nothing of it is left."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.node import cgroups, limits
from cluster.node.proc import read_stat
from places import PYTHONPATH, SUPPORT
from trainables import process
from trainables.measurement import Outcome, OutcomeKind, Phase, Progress, TrialRequest
from trainables.process import run_child

CHILDREN = SUPPORT / "fake_children" / "children.py"
PARENT = SUPPORT / "fake_children" / "parent.py"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH}
REQUEST = TrialRequest(
    workload="fake_workloads:Sleeper", config={}, options={}, platform="cpu", cpus=(0,)
)
PATIENCE_S = 60.0  # on a busy machine; nothing here is expected to take that long

RunFake = Callable[..., Outcome]


@pytest.fixture
def run_fake(tmp_path: Path) -> RunFake:
    """Run one of the fake children to its end."""

    def run(*command: object, **options: Any) -> Outcome:
        options = {"timeout_s": PATIENCE_S} | options
        *progress, outcome = run_child(
            REQUEST,
            environment=ENVIRONMENT,
            log_path=tmp_path / "logs" / "trial.log",
            thread_cap=2,
            command=[sys.executable, str(CHILDREN), *map(str, command)],
            **options,
        )
        assert all(isinstance(message, Progress) for message in progress)
        assert isinstance(outcome, Outcome)
        return outcome

    return run


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("report", "completed", "measured."),
        ("report_in_two_pieces", "completed", "measured."),
        ("shout", "completed", "measured."),
        ("report_then_garbage", "completed", "measured."),
        ("report_then_abort", "completed", "measured."),
        ("report_its_session", "completed", "leads"),
        ("abort_for_threads", "thread_limit", "during compile, the trial was ended by SIGABRT"),
        ("interrupted_by_openblas", "thread_limit", "OpenBLAS blas_thread_init"),
        ("raise_out_of_memory", "device_memory", "68719476736 bytes"),
        ("exit_in_silence", "error", "exited with status 0 without a report"),
        ("kill_itself", "node_lost", "SIGKILL, by someone"),
        ("garbage", "error", "garbage on its wire: not a trial's message: 'WARNING: All"),
        ("line_without_end", "error", "garbage on its wire"),
    ],
)
def test_each_end_has_its_outcome(run_fake: RunFake, name: str, kind: str, words: str) -> None:
    outcome = run_fake(name)
    assert (outcome.kind, words in outcome.message) == (kind, True), outcome.message
    assert outcome.wall_s < PATIENCE_S
    assert outcome.thread_cap == 2


@pytest.mark.parametrize("name", ["hang", "stop_itself"])
def test_a_trial_whose_time_is_up_is_killed(run_fake: RunFake, name: str) -> None:
    outcome = run_fake(name, timeout_s=0.5)
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert "time was up (0.5 s)" in outcome.message
    assert outcome.wall_s < PATIENCE_S


def test_a_hang_after_a_refused_thread_is_a_thread_limit(run_fake: RunFake) -> None:
    assert run_fake("hang_out_of_threads", timeout_s=5.0).kind is OutcomeKind.THREAD_LIMIT


def test_a_hang_while_the_cgroup_refused_threads_is_a_thread_limit(
    run_fake: RunFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([7, 9])
    monkeypatch.setattr(limits, "thread_limit_events", lambda: next(counts))
    outcome = run_fake("hang", timeout_s=0.5)
    assert outcome.kind is OutcomeKind.THREAD_LIMIT
    assert "refused 2 threads" in outcome.message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("close_its_wire", OutcomeKind.ERROR),
        ("close_everything", OutcomeKind.ERROR),
        # Seen of torch on a busy machine, which took long to end.
        ("close_its_wire_out_of_memory", OutcomeKind.HOST_MEMORY),
    ],
)
def test_a_trial_without_a_wire_does_not_live_on(
    run_fake: RunFake, name: str, kind: OutcomeKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_EXIT_GRACE_S", 0.2)
    outcome = run_fake(name, timeout_s=None)
    assert outcome.kind is kind
    assert "the trial closed its wire without a report, and its process lives on" in outcome.message
    assert "time was up" not in outcome.message


def test_a_trial_that_hangs_after_its_report_is_killed(
    run_fake: RunFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_EXIT_GRACE_S", 0.2)
    assert run_fake("report_then_hang", timeout_s=None).kind is OutcomeKind.COMPLETED


def test_a_trial_may_clean_up_after_its_report(run_fake: RunFake, tmp_path: Path) -> None:
    run_fake("report_then_clean_up", tmp_path / "done")
    assert (tmp_path / "done").exists()


def test_no_room_for_a_process_says_nothing_of_the_configuration(
    run_fake: RunFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    outcome = run_fake("report")
    assert outcome.kind is OutcomeKind.NODE_LOST
    assert outcome.peak_threads is None


def test_host_memory_over_the_budget_ends_the_trial(run_fake: RunFake) -> None:
    outcome = run_fake("hog", 2**28, host_budget_bytes=2**27)
    assert outcome.kind is OutcomeKind.HOST_MEMORY
    assert "the budget is 0.12 GiB" in outcome.message
    assert outcome.peak_host_bytes is not None
    assert outcome.peak_host_bytes > 2**27


def test_memory_that_forked_processes_share_counts_once(run_fake: RunFake) -> None:
    outcome = run_fake("share", 2**26, host_budget_bytes=2**27)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message


def test_peaks_are_seen_from_outside(run_fake: RunFake) -> None:
    outcome = run_fake("threads", 12)
    assert outcome.peak_threads == 13
    assert outcome.peak_host_bytes is not None
    assert outcome.peak_host_bytes > 2**20
    assert outcome.peak_maps is not None
    assert outcome.peak_maps > 10


def test_each_phase_has_its_own_threads_and_seconds(run_fake: RunFake) -> None:
    outcome = run_fake("threads_while_compiling", 12)
    threads, seconds = outcome.threads_by_phase, outcome.seconds_by_phase
    assert threads is not None
    assert seconds is not None
    assert (threads["compile"], threads["measure"]) == (13, 1)
    assert outcome.peak_threads == 13
    assert list(seconds) == ["start", "compile", "measure"]
    # It sleeps 0.9 s, never less; but a phase begins as its word is read, which may be late.
    assert seconds["start"] + seconds["compile"] >= 0.9
    assert seconds["compile"] >= 0.6
    assert sum(seconds.values()) <= outcome.wall_s


def test_the_end_of_a_process_is_in_no_phase(
    run_fake: RunFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_EXIT_GRACE_S", 0.5)
    outcome = run_fake("report_then_hang", timeout_s=None)
    assert outcome.seconds_by_phase is not None
    assert list(outcome.seconds_by_phase) == ["start"]
    assert outcome.seconds_by_phase["start"] <= outcome.wall_s - 0.5


@pytest.mark.parametrize("how", ["plain", "group", "session"])
def test_no_grandchild_outlives_the_trial(run_fake: RunFake, tmp_path: Path, how: str) -> None:
    pid_file = tmp_path / "pid"
    assert run_fake("leave_grandchild", how, pid_file).kind is OutcomeKind.COMPLETED
    assert is_dead(int(pid_file.read_text()))


def test_output_is_appended_to_the_log_and_only_its_own_part_is_classified(
    run_fake: RunFake, tmp_path: Path
) -> None:
    first, second = run_fake("abort_for_threads"), run_fake("exit_in_silence")
    assert (first.kind, second.kind) == (OutcomeKind.THREAD_LIMIT, OutcomeKind.ERROR)
    assert first.log == second.log == str(tmp_path / "logs" / "trial.log")
    assert "pthread_create() failed" in Path(first.log).read_text()


def test_closing_the_generator_ends_the_trial(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    messages = run_child(
        REQUEST,
        environment=ENVIRONMENT,
        log_path=tmp_path / "log",
        thread_cap=1,
        command=[sys.executable, str(CHILDREN), "hang_with_its_pid", str(pid_file)],
    )
    assert next(messages) == Progress(phase=Phase.COMPILE)
    assert not is_dead(int(pid_file.read_text()))
    messages.close()
    assert is_dead(int(pid_file.read_text()))


def test_no_file_stays_open(run_fake: RunFake) -> None:
    run_fake("report")
    before = os.listdir("/proc/self/fd")
    for name in ("report", "garbage", "abort_for_threads"):
        run_fake(name)
    assert os.listdir("/proc/self/fd") == before


def test_threads_that_a_cgroup_refuses(pids_cgroup: Callable[[int], Any], tmp_path: Path) -> None:
    done = pids_cgroup(8).run(parent_command(tmp_path, "threads", 20), ENVIRONMENT)
    assert "OutcomeKind.THREAD_LIMIT" in done.stdout, done.stderr
    assert "can't start new thread" in done.stdout


def test_a_fork_that_a_cgroup_refuses(pids_cgroup: Callable[[int], Any], tmp_path: Path) -> None:
    done = pids_cgroup(1).run(parent_command(tmp_path, "report"), ENVIRONMENT)
    assert "OutcomeKind.NODE_LOST" in done.stdout, done.stderr
    assert "could not be started" in done.stdout


def test_a_kill_for_memory_leaves_no_word_but_a_counter(
    memory_cgroup: Path, tmp_path: Path
) -> None:
    enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", enter, memory_cgroup, *parent_command(tmp_path, "hog", 2**28)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert "OutcomeKind.HOST_MEMORY" in done.stdout, done.stderr
    assert "SIGKILL after the kernel killed a process for memory" in done.stdout
    assert (tmp_path / "log").read_text() == ""


@pytest.fixture
def memory_cgroup() -> Iterator[Path]:
    """A cgroup with room for 128 MiB, or no test."""
    for parent in cgroups.ancestry("memory"):
        path = parent.path / f"test-{os.getpid()}"
        name = "memory.max" if parent.version == 2 else "memory.limit_in_bytes"
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            (path / name).write_text(str(2**27))
        except OSError:
            path.rmdir()
            continue
        yield path
        wait_for(lambda path=path: not (path / "cgroup.procs").read_text())
        path.rmdir()
        return
    pytest.skip("cannot make a memory cgroup here")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_trial_dies_with_its_parent(tmp_path: Path, sent: int) -> None:
    pid_file = tmp_path / "pid"
    request = dataclasses.replace(
        REQUEST, workload="fake_workloads:tells_its_pid", options={"pid_file": str(pid_file)}
    )
    with parent_alive(parent_command(tmp_path, request=request)) as parent:
        child = int(wait_for(lambda: pid_file.exists() and pid_file.read_text()))
        parent.send_signal(sent)
        parent.wait(PATIENCE_S)
        wait_for(lambda: is_dead(child))


def test_an_interrupted_parent_ends_a_trial_that_would_live_on(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"  # fakes do not ask to die with their parent
    with parent_alive(parent_command(tmp_path, "hang_with_its_pid", pid_file)) as parent:
        child = int(wait_for(lambda: pid_file.exists() and pid_file.read_text()))
        parent.send_signal(signal.SIGINT)
        parent.wait(PATIENCE_S)
        assert is_dead(child)


def parent_command(tmp_path: Path, *fake: object, request: TrialRequest = REQUEST) -> list[str]:
    """Return the command of a parent that runs one trial, or a fake of one."""
    request_json = json.dumps(dataclasses.asdict(request))
    command = [sys.executable, PARENT, request_json, tmp_path / "log"]
    return [str(word) for word in (*command, *((sys.executable, CHILDREN, *fake) if fake else ()))]


@contextlib.contextmanager
def parent_alive(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    quiet = subprocess.DEVNULL
    parent = subprocess.Popen(command, env=ENVIRONMENT, stdout=quiet, stderr=quiet)
    try:
        yield parent
    finally:
        parent.kill()
        parent.wait()


def is_dead(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is None or stat.is_dead


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)
    return value
