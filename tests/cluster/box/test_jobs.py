"""The jobs of a box and their processes, without any SSH."""

import os
import signal
import time
from pathlib import Path

import pytest

from box_jobs import FAKE, start, wait_for
from cluster.box import jobs
from cluster.box.__main__ import arm, remove, status
from cluster.box.folder import BoxFolder
from cluster.errors import BoxError
from cluster.node import processes
from cluster.node.atomic import read_json, write_json


def has_command(pid: int) -> bool:
    """Whether the process lives: one that is dead but not yet reaped has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_job_runs_to_its_end_and_leaves_no_process(box: BoxFolder) -> None:
    start(box, "--trials", "2", "--trial-s", "0.1")
    job = box.job("j1")
    wait_for(job.exit.exists)
    assert read_json(job.exit)["exit_code"] == 0
    assert read_json(job.exit)["reason"] == "ended"
    assert processes.of_job(box.job("j1").mark, box.job("j1").supervisor) == set()
    assert list(job.profiles.glob("*.yaml"))


def test_clock_that_is_set_makes_no_job_older(
    box: BoxFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(box, "--trials", "100")
    was = time.time()
    monkeypatch.setattr(time, "time", lambda: was + 7200)
    assert 0 <= status(box, {})["job"]["elapsed_s"] < 600


def test_one_job_at_a_time_and_no_name_twice(box: BoxFolder) -> None:
    start(box, "--trials", "100")
    with pytest.raises(BoxError, match="already runs the job j1"):
        start(box, name="j2")
    assert jobs.stop(box, reason="stopped") == "j1"
    with pytest.raises(BoxError, match="has a job j1 already: resume it"):
        start(box)
    assert jobs.stop(box, reason="stopped") is None


def test_job_that_runs_is_seen_behind_one_that_was_started_later_elsewhere(
    box: BoxFolder,
) -> None:
    start(box, "--trials", "100")
    taken_over = box.job("s-from-lost")
    taken_over.path.mkdir()
    later = {"name": "s", "words": FAKE, "resume": False, "started_at": time.time() + 3600}
    write_json(taken_over.request, later)
    for again in ("j2", taken_over.name):
        with pytest.raises(BoxError, match="already runs the job j1"):
            start(box, name=again, resume=again != "j2")
    told = status(box, {})["job"]
    assert (told["name"], told["state"]) == ("j1", "running")
    with pytest.raises(BoxError, match="still runs the job j1"):
        remove(box, {})
    assert jobs.stop(box, reason="deadline") == "j1"
    assert not jobs.is_running(box.job("j1"))


def test_stopped_job_keeps_its_best_and_takes_all_its_processes_with_it(box: BoxFolder) -> None:
    start(box, "--trials", "100", "--trial-s", "0.1")
    job = box.job("j1")
    wait_for(lambda: (job.run / "journal.log").exists())
    sleeper = {
        pid
        for pid in processes.of_job(box.job("j1").mark, box.job("j1").supervisor)
        if os.getsid(pid) == pid
    }
    assert len(sleeper) == 2  # the search, and what it started in a session of its own
    jobs.stop(box, reason="deadline")
    assert read_json(job.exit)["reason"] == "deadline"
    assert read_json(job.exit)["exit_code"] == 130
    assert list(job.profiles.glob("*.yaml"))
    assert processes.of_job(box.job("j1").mark, box.job("j1").supervisor) == set()


def test_job_that_ignores_the_signal_is_killed(box: BoxFolder) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(99)"
    )
    jobs.start(box, name="j1", words=["python", "-c", deaf], resume=False)
    events = box.job("j1").events
    wait_for(lambda: events.exists() and "deaf" in events.read_text())
    jobs.stop(box, reason="stopped", grace_s=0.2)
    assert read_json(box.job("j1").exit)["exit_code"] == -signal.SIGKILL


def test_child_that_was_given_no_environment_is_ended_with_its_job(box: BoxFolder) -> None:
    code = (
        "import subprocess, time; "
        "subprocess.Popen(['sleep', '98'], env={}, start_new_session=True); time.sleep(99)"
    )
    jobs.start(box, name="j1", words=["python", "-c", code], resume=False)
    wait_for(lambda: len(processes.of_job(box.job("j1").mark, box.job("j1").supervisor)) >= 2)
    children = processes.of_job(box.job("j1").mark, box.job("j1").supervisor)
    jobs.stop(box, reason="stopped", grace_s=0.0)
    wait_for(lambda: not any(map(has_command, children)))


def test_job_whose_supervisor_died_is_resumed(box: BoxFolder) -> None:
    start(box, "--trials", "4", "--trial-s", "1")
    job = box.job("j1")
    wait_for(lambda: (job.run / "journal.log").exists())
    processes.kill(job.supervisor)
    assert jobs.is_running(job)  # the search itself goes on
    processes.kill_all(job.mark, job.supervisor)
    assert not jobs.is_running(job)
    jobs.start(box, name="j1", words=None, resume=True)
    wait_for(job.exit.exists)
    assert len((job.run / "journal.log").read_text().splitlines()) == 4


def test_command_that_does_not_exist_ends_the_job_as_a_shell_would(box: BoxFolder) -> None:
    jobs.start(box, name="j1", words=["no-such-program"], resume=False)
    job = box.job("j1")
    wait_for(job.exit.exists)
    assert read_json(job.exit)["exit_code"] == 127
    assert "cannot start: " in job.log.read_text()


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x", "x" * 81, "a/b"])
def test_job_name_that_is_no_folder_is_refused(name: str, box: BoxFolder) -> None:
    with pytest.raises(BoxError, match="job names are at most 80 letters"):
        start(box, name=name)


def test_box_that_is_not_set_up_starts_nothing(box: BoxFolder) -> None:
    box.ready.unlink()
    with pytest.raises(BoxError, match="is not set up: run `up` first"):
        start(box)


def test_job_that_was_given_up_comes_no_more(
    box: BoxFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine would have it run beside the one that is started next."""
    with monkeypatch.context() as impatient:
        impatient.setattr(jobs, "_START_S", 0.0)
        with pytest.raises(BoxError, match="could not start the job j1; its log is"):
            start(box, "--trials", "100")
    start(box, "--trials", "1", "--trial-s", "0.1", name="j2")
    wait_for(box.job("j2").exit.exists)
    assert not jobs.is_running(box.job("j1"))
    assert not box.job("j1").events.exists()


def test_box_that_is_about_to_be_stopped_starts_nothing(box: BoxFolder, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    arm(box, {"hours": 0.0, "stop_command": ["touch", str(tried)]})
    wait_for(tried.exists)
    with pytest.raises(BoxError, match="its dead-man has fired and goes on to stop it: set a new"):
        start(box)
    arm(box, {"hours": 1.0, "stop_command": ["true"]})
    start(box, "--trials", "100")


def test_a_job_of_the_same_name_in_another_folder_is_left_alone(
    box: BoxFolder, tmp_path: Path
) -> None:
    start(box, "--trials", "100", "--trial-s", "1")
    other = BoxFolder(tmp_path / "other")
    assert not processes.of_job(other.job("j1").mark, other.job("j1").supervisor)
    assert processes.kill_all(other.job("j1").mark, other.job("j1").supervisor)
    assert jobs.is_running(box.job("j1"))
