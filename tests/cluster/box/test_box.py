"""A box's end: jobs, their processes, their progress, and what is sent home; without any SSH."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.box import __main__ as box_commands
from cluster.box import bundle, jobs, progress
from cluster.box.__main__ import status
from cluster.box.folder import BoxFolder
from cluster.errors import BoxError
from cluster.fleet import pull
from cluster.fleet.hosts import Host
from cluster.fleet.ssh import HostError
from cluster.node import deadman, processes
from cluster.node.atomic import read_json, write_json
from places import ROOT

FAKE = ["python", "tests/support/fake_search.py"]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BoxFolder]:
    """A box that is set up, whose code is this repository's."""
    made = BoxFolder(tmp_path / "fleet")
    made.jobs.mkdir(parents=True)
    made.code.mkdir()
    for name in ("cluster", "tests"):
        (made.code / name).symlink_to(ROOT / name)
    write_json(made.ready, {"python": sys.executable, "machine_class": "fake"})
    yield made
    jobs.stop(made, reason="stopped", grace_s=0.0)
    processes.kill(made.deadman.process)


def start(box: BoxFolder, *words: str, name: str = "j1", resume: bool = False) -> None:
    jobs.start(box, name=name, words=[*FAKE, *words], resume=resume)


def has_command(pid: int) -> bool:
    """Whether the process lives: one that is dead but not yet reaped has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_job_runs_to_its_end_and_leaves_no_process(box: BoxFolder) -> None:
    start(box, "--trials", "2", "--trial-s", "0.1")
    job = box.job("j1")
    wait_for(job.exit.exists)
    assert read_json(job.exit)["exit_code"] == 0
    assert read_json(job.exit)["reason"] == "ended"
    assert processes.of_job("j1", box.job("j1").supervisor) == set()
    assert list(job.profiles.glob("*.yaml"))


def test_one_job_at_a_time_and_no_name_twice(box: BoxFolder) -> None:
    start(box, "--trials", "100")
    with pytest.raises(BoxError, match="already runs the job j1"):
        start(box, name="j2")
    assert jobs.stop(box, reason="stopped") == "j1"
    with pytest.raises(BoxError, match="has a job j1 already: resume it"):
        start(box)
    assert jobs.stop(box, reason="stopped") is None


def test_stopped_job_keeps_its_best_and_takes_all_its_processes_with_it(box: BoxFolder) -> None:
    start(box, "--trials", "100", "--trial-s", "0.1")
    job = box.job("j1")
    wait_for(lambda: (job.run / "journal.log").exists())
    sleeper = {
        pid for pid in processes.of_job("j1", box.job("j1").supervisor) if os.getsid(pid) == pid
    }
    assert len(sleeper) == 2  # the search, and what it started in a session of its own
    jobs.stop(box, reason="deadline")
    assert read_json(job.exit)["reason"] == "deadline"
    assert read_json(job.exit)["exit_code"] == 130
    assert list(job.profiles.glob("*.yaml"))
    assert processes.of_job("j1", box.job("j1").supervisor) == set()


def test_job_that_ignores_the_signal_is_killed(box: BoxFolder) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)"
    jobs.start(box, name="j1", words=["python", "-c", deaf], resume=False)
    time.sleep(0.5)
    jobs.stop(box, reason="stopped", grace_s=0.2)
    assert read_json(box.job("j1").exit)["exit_code"] == -signal.SIGKILL


def test_child_that_was_given_no_environment_is_ended_with_its_job(box: BoxFolder) -> None:
    code = (
        "import subprocess, time; "
        "subprocess.Popen(['sleep', '98'], env={}, start_new_session=True); time.sleep(99)"
    )
    jobs.start(box, name="j1", words=["python", "-c", code], resume=False)
    wait_for(lambda: len(processes.of_job("j1", box.job("j1").supervisor)) >= 2)
    children = processes.of_job("j1", box.job("j1").supervisor)
    jobs.stop(box, reason="stopped", grace_s=0.0)
    wait_for(lambda: not any(map(has_command, children)))


def test_job_whose_supervisor_died_is_resumed(box: BoxFolder) -> None:
    start(box, "--trials", "4", "--trial-s", "0.3")
    job = box.job("j1")
    wait_for(lambda: (job.run / "journal.log").exists())
    processes.kill(job.supervisor)
    assert jobs.is_running(job)  # the search itself goes on
    processes.kill_all("j1", job.supervisor)
    assert not jobs.is_running(job)
    jobs.start(box, name="j1", words=None, resume=True)
    wait_for(job.exit.exists)
    assert len((job.run / "journal.log").read_text().splitlines()) == 4


def test_which_part_a_job_is_is_kept_for_whoever_asks(box: BoxFolder) -> None:
    split = {"name": "j1", "number": 1, "count": 2}
    words = [*FAKE, "--shard", "1/2"]
    jobs.start(box, name="j1", words=words, resume=False, split=split, own_words=FAKE)
    wait_for(box.job("j1").exit.exists)
    jobs.start(box, name="j1", words=None, resume=True)
    assert status(box, {})["job"]["split"] == split
    assert status(box, {})["job"]["own_words"] == FAKE


def test_job_that_an_earlier_version_started_is_resumed_and_told(box: BoxFolder) -> None:
    job = box.job("old")
    job.run.mkdir(parents=True)
    (job.run / "journal.log").touch()
    words = [*FAKE, "--trials", "1", "--trial-s", "0.1"]
    request = {"words": words, "split": None, "name": "old", "resume": False, "started_at": 1.0}
    write_json(job.request, request)
    jobs.start(box, name="old", words=None, resume=True)
    wait_for(job.exit.exists)
    told = status(box, {})["job"]
    assert (told["state"], told["exit"]["exit_code"], told["own_words"]) == ("ended", 0, None)


def test_command_that_does_not_exist_ends_the_job_as_a_shell_would(box: BoxFolder) -> None:
    jobs.start(box, name="j1", words=["no-such-program"], resume=False)
    job = box.job("j1")
    wait_for(job.exit.exists)
    assert read_json(job.exit)["exit_code"] == 127
    assert "cannot start: " in job.log.read_text()


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x", "x" * 81, "a/b"])
def test_job_name_that_is_no_folder_is_refused(name: str, box: BoxFolder) -> None:
    with pytest.raises(BoxError, match="job names are letters"):
        start(box, name=name)


def test_box_that_is_not_set_up_starts_nothing(box: BoxFolder) -> None:
    box.ready.unlink()
    with pytest.raises(BoxError, match="is not set up: run `up` first"):
        start(box)


def test_deadman_is_armed_anew_and_seen_when_it_died(box: BoxFolder) -> None:
    box_commands.arm(box, {"hours": 1.0, "stop_command": ["true"]})
    first = read_json(box.deadman.process)["pid"]
    box_commands.arm(box, {"hours": 2.0, "stop_command": []})
    assert read_json(box.deadman.process)["pid"] != first
    armed = deadman.status(box.deadman)
    assert armed is not None
    assert armed.alive
    assert 7100 < armed.left_s <= 7200
    processes.kill(box.deadman.process)
    armed = deadman.status(box.deadman)
    assert armed is not None
    assert not armed.alive


def test_deadman_ends_job_and_rent_though_nothing_can_be_written(
    box: BoxFolder, tmp_path: Path
) -> None:
    start(box, "--trials", "1000")
    stopped = tmp_path / "stopped"
    box_commands.arm(box, {"hours": 0.0005, "stop_command": ["touch", str(stopped)]})
    box.deadman.fired.mkdir()  # where a file should go: any write fails, as on a full disk
    box.job("j1").end_reason.mkdir()
    wait_for(stopped.exists)
    assert processes.of_job("j1", box.job("j1").supervisor) == set()
    box.job("j1").end_reason.rmdir()


def test_reused_pid_is_not_taken_for_the_process_that_had_it(tmp_path: Path) -> None:
    processes.record(tmp_path / "me", os.getpid())
    assert processes.is_alive(tmp_path / "me")
    known = read_json(tmp_path / "me")
    write_json(tmp_path / "me", known | {"start_ticks": known["start_ticks"] - 1})
    assert not processes.is_alive(tmp_path / "me")
    assert not processes.is_alive(tmp_path / "absent")


def trial(number: int, speed: float | None, kind: str = "completed") -> dict[str, Any]:
    measurement = None if speed is None else {"steps_per_second": speed}
    return {
        "event": "trial_ended",
        "trial": {
            "number": number,
            "config": {"num_envs": number},
            "outcome": {"kind": kind, "measurement": measurement},
        },
    }


STARTED = {"event": "started", "task": "t", "max_runs": 9, "max_time_s": None}
FINISHED = {
    "event": "finished",
    "headline": "h",
    "succeeded": True,
    "chosen": {"fastest": {"steps_per_second": 7.0, "config": {"num_envs": 1}}},
}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {"num_trials": 0}),
        ([STARTED], {"num_trials": 0, "max_runs": 9}),
        ([trial(0, 5.0), trial(1, 9.0), trial(2, 7.0)], {"best_steps_per_second": 9.0}),
        ([trial(0, 5.0), trial(1, 9.0, kind="slow")], {"best_steps_per_second": 5.0}),
        ([trial(0, None, kind="device_memory")], {"num_trials": 1}),
        ([trial(0, 5.0), trial(0, 5.0)], {"num_trials": 1}),
        ([trial(0, 9.0), FINISHED], {"best_steps_per_second": 7.0, "stage": "finished"}),
        ([FINISHED, STARTED], {"num_trials": 0, "best_steps_per_second": 7.0}),
        ([{"event": "from the future"}], {"num_trials": 0}),
    ],
)
def test_progress_is_what_the_events_say(
    events: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    state = progress.read(json.dumps(event) for event in events)
    assert {name: getattr(state, name) for name in expected} == expected


def test_lines_that_are_no_events_are_passed_over() -> None:
    lines = ["", "a library prints", '{"event": "star', "[1]", json.dumps(trial(0, 5.0))]
    assert progress.read(lines).num_trials == 1


class FakeRemote:
    """A box whose stream is given."""

    def __init__(self, stream: bytes) -> None:
        self.host = Host(name="box", address="x")
        self.stream = stream
        self.asked: Mapping[str, tuple[int, int]] = {}

    def pull(self, have: Mapping[str, tuple[int, int]], consume: Callable[[Any], None]) -> None:
        self.asked = have
        consume(io.BytesIO(self.stream))


def stream_of(folder: Path, have: Mapping[str, tuple[int, int]]) -> bytes:
    stream = io.BytesIO()
    bundle.send(folder, have, stream)
    return stream.getvalue()


def job_files(folder: Path) -> Path:
    for name in (
        "job.json",
        ".job.json.123",
        "log.txt",
        "profiles/p.yaml",
        "run/journal.log",
        "run/trials/000.log",
        "run/ray/huge/file",
        "run/lock",
    ):
        path = folder / "jobs" / "j1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 100)
    (folder / "jobs" / "j1" / "link").symlink_to("/etc/passwd")
    return folder / "jobs"


def test_pull_brings_the_results_and_then_only_what_changed(tmp_path: Path) -> None:
    source, out = job_files(tmp_path), tmp_path / "out"
    remote = FakeRemote(stream_of(source, {}))
    pulled = pull.pull(remote, out)  # type: ignore[arg-type]
    names = {path.relative_to(out).as_posix() for path in out.glob("**/*") if path.is_file()}
    wanted = {"job.json", "log.txt", "profiles/p.yaml", "run/journal.log", "run/trials/000.log"}
    assert names == {f"box/j1/{name}" for name in wanted}
    assert pulled.profiles == (out / "box/j1/profiles/p.yaml",)

    (source / "j1" / "run" / "journal.log").write_text("longer" * 1000)
    pull.pull(remote, out)  # type: ignore[arg-type]
    again = FakeRemote(stream_of(source, remote.asked))
    assert pull.pull(again, out).num_files == 1  # type: ignore[arg-type]
    assert (out / "box/j1/run/journal.log").read_text() == "longer" * 1000


def test_pull_that_breaks_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    source, out = job_files(tmp_path), tmp_path / "out"
    whole = stream_of(source, {})
    for cut in range(0, len(whole), 700):
        pull.pull(FakeRemote(whole[:cut]), out)  # type: ignore[arg-type]
        for path in out.glob("box/**/*"):
            if path.is_file():
                original = source / path.relative_to(out / "box")
                assert path.read_bytes() == original.read_bytes(), cut
    pull.pull(FakeRemote(whole), out)  # type: ignore[arg-type]
    assert not list(out.glob("**/.*"))


def test_profiles_are_sent_before_logs(tmp_path: Path) -> None:
    stream = stream_of(job_files(tmp_path), {})
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert tar.getnames()[0] == "j1/profiles/p.yaml"
        assert tar.getnames().index("j1/run/journal.log") < tar.getnames().index("j1/log.txt")


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.pax_headers = {bundle.MTIME_NS: "1"}
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        member("../../escaped"),
        member("/tmp/escaped"),
        member("j1/../../escaped"),
        member("j1/../../made/escaped"),
        member("escaped"),
        member("j1/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("j1/link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("j1/fifo", type=tarfile.FIFOTYPE),
        member("j1/there/escaped"),
    ],
    ids=lambda made: made.name,
)
def test_box_decides_nothing_about_where_its_files_land(
    hostile: tarfile.TarInfo, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "box" / "j1").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (out / "box" / "j1" / "there").symlink_to(tmp_path / "elsewhere")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(hostile)
    with pytest.raises(HostError, match=r"box: sent .*: pull stopped"):
        pull.pull(FakeRemote(stream.getvalue()), out)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("**/escaped"))
    assert not (tmp_path / "made").exists()


def test_box_imports_nothing_but_the_standard_library() -> None:
    code = "import sys, cluster.box.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names <= {"cluster", "__main__"}
