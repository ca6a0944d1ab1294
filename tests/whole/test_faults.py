"""Faults of every kind through the real command line: done, said, left behind.

Each search has a folder for temporary files of its own and a mark in its environment. After it,
no process has the mark and nothing but the token's folder is left; what it printed has no traceback
and nothing that a terminal obeys; there is a profile, or a sentence.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pids_cgroup import PidsCgroup
from places import PYTHONPATH
from subprocesses import read_until
from tune.profile import file as profile_file

MARK = "TEST_FAULT"
FAULTY = (
    *("--workload", "faulty_workload:factory"),
    *("--space", "num_envs=8,16", "--max-runs", "2", "--finalists", "1", "--final-rounds", "1"),
    *("--soak-updates", "0", "--out", "out"),
)
SEARCH = (sys.executable, "-m", "tune.jax_phase12", *FAULTY)

pytestmark = [pytest.mark.slow, pytest.mark.seconds(500), pytest.mark.timeout(600)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder to search in, one for temporary files, and a mark on all processes."""

    folder: Path
    temporary: Path
    mark: str

    def environment(self, **variables: str) -> dict[str, str]:
        own = {"PYTHONPATH": PYTHONPATH, "TMPDIR": str(self.temporary), MARK: self.mark}
        return os.environ | own | variables

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )

    def run(self, *words: str, timeout_s: float = 300, **variables: str) -> tuple[int, str]:
        process = self.start(*words, **variables)
        try:
            said, _ = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
            process.wait()
        return process.returncode, said

    def search(self, *arguments: str, **variables: str) -> tuple[int, str]:
        return self.run("tune.jax_phase12", *FAULTY, *arguments, **variables)

    def kinds(self) -> list[str]:
        trials = json.loads((self.folder / "out" / "trials.json").read_text())["trials"]
        return [f"{trial['stage']} {trial['outcome']['kind']}" for trial in trials]

    def profile(self) -> Path:
        [path] = (self.folder / "profiles").glob("*fastest*.yaml")
        profile_file.read(path)
        return path

    def processes(self) -> dict[int, str]:
        wanted = f"{MARK}={self.mark}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                is_alive = "\nState:\tZ" not in (entry / "status").read_text()
                if is_alive and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def is_tidy(self) -> bool:
        return not self.processes() and not self.left()

    def left(self) -> list[str]:
        """Return what is left of temporary files but the token, and the lock beside it."""
        paths = [path for path in self.temporary.rglob("*") if not path.is_dir()]
        return [str(p) for p in paths if p.name not in {"ray_token", "search.lock"}]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a place, and see at the end that it is tidy."""
    temporary = Path(tempfile.mkdtemp(prefix="f-", dir="/tmp"))  # Ray's sockets need a short path
    made = Place(folder=tmp_path, temporary=temporary, mark=temporary.name)
    try:
        yield made
        deadline = time.monotonic() + 30
        while not made.is_tidy() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert made.processes() == {}
        assert made.left() == []
    finally:
        for pid in made.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(temporary, ignore_errors=True)


def assert_clean(said: str) -> None:
    """Check that nothing is a traceback, and nothing is obeyed by a terminal."""
    assert "Traceback" not in said, said
    assert [char for char in said if not (char.isprintable() or char in "\n\r")] == []


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault of the training: its options, the exit code, what is said and what was run."""

    options: str
    code: int = 0
    says: str = ""
    kinds: str = ""
    more: tuple[str, ...] = ()


CHILDREN = {
    "aborts": Row(options="fault=abort when=16", says="SIGABRT", kinds="error"),
    "segfaults": Row(options="fault=segfault when=16", says="SIGSEGV", kinds="error"),
    "stops": Row(options="fault=stop when=16", kinds="timeout", more=("--trial-timeout", "12s")),
    "hangs": Row(options="fault=hang when=16", kinds="timeout", more=("--trial-timeout", "12s")),
    "floods stderr": Row(
        options="fault=flood when=16", kinds="timeout", more=("--trial-timeout", "12s")
    ),
    "writes garbage on the wire": Row(
        options="fault=garbage when=16", says="garbage on its wire", kinds="error"
    ),
    "exits 0 at once": Row(
        options="fault=exit when=16", says="exited with status 0", kinds="error"
    ),
    "closes all descriptors": Row(options="fault=close-all when=16", kinds="error"),
    "removes its log": Row(options="fault=remove-logs", kinds="completed"),
    "leaves a child": Row(options="fault=child", kinds="completed"),
    "leaves a daemon": Row(options="fault=daemon", kinds="completed"),
    "raises what cannot be printed": Row(
        options="fault=unprintable when=16", says="\\x1b[31m red", kinds="error"
    ),
    "is near its timeout": Row(
        options="update_s=2.5 when=16", kinds="completed", more=("--trial-timeout", "16s")
    ),
    "has NaN": Row(options="health=nan", code=1, says="loss is nan"),
    "has no steps": Row(options="steps=0", code=1, says="a whole number of at least 1, got 0"),
    "has negative steps": Row(options="steps=-100", code=1, says="at least 1, got -100"),
    "has half a step": Row(options="steps=100.5", code=1, says="at least 1, got 100.5"),
    "has 100,000 metrics": Row(options="health=many", code=1, says="100,000 metrics"),
    "has a metric of 2 MB": Row(options="health=long", code=1, says="no printable word"),
    "has a text as metric": Row(options="health=text", code=1, says="loss = 'abc'"),
    "has a metric named 1": Row(options="health=numbered", code=1, says="has the name 1"),
    "has a surrogate": Row(options="health=surrogate", code=1, says="\\udcff<script>"),
    "has no mapping": Row(options="health=nothing", code=1, says="got NoneType"),
    "kills its worker": Row(
        options="fault=kill-worker", code=1, says="No trial could run", kinds="node_lost"
    ),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_training_that(name: str, place: Place) -> None:
    row = CHILDREN[name]
    options = [word.replace("-", " ") if "fault" in word else word for word in row.options.split()]
    given = itertools.chain.from_iterable(("--option", word) for word in options)
    code, said = place.search(*given, *row.more)
    assert code == row.code, said
    assert_clean(said)
    assert row.says in said
    if row.code == 0:
        kinds = place.kinds()
        assert kinds[0] == "baseline completed"
        assert kinds[1].split()[1] == row.kinds
        assert kinds[-1] == "final completed"
        place.profile()
        if row.kinds != "completed":
            assert profile_file.read(place.profile()).config["num_envs"] == 8
    else:
        assert not (place.folder / "profiles").exists()
    logs = (place.folder / "out" / "trials").glob("*.log")
    assert max((log.stat().st_size for log in logs), default=0) < 20 * 2**20


def test_a_training_that_someone_kills_is_run_again(place: Place) -> None:
    code, said = place.search(
        "--option", "fault=die once", "--option", "when=16", "--option", f"mark={place.folder}/mark"
    )
    assert (code, place.kinds()[1:3]) == (0, ["ramp node_lost", "ramp completed"]), said
    assert_clean(said)


def test_a_training_that_dies_so_each_time_costs_no_result(place: Place) -> None:
    code, said = place.search("--option", "fault=daemon and die", "--option", "when=16")
    assert code == 0, said
    assert_clean(said)
    assert place.kinds() == [
        "baseline completed",
        *["ramp node_lost"] * 2,
        "final completed",
    ]
    assert "16 could not be measured, because something on this machine ended its processes" in said


def test_a_training_that_eats_the_memory_is_ended_at_the_budget(place: Place) -> None:
    code, said = place.search(
        *("--option", "fault=eat memory", "--option", "when=16"), *("--memory-budget", "400MB")
    )
    assert code == 0, said
    assert_clean(said)
    assert "host_memory" in place.kinds()[1], said


DRIVER_ENDS = {
    "is killed": (signal.SIGKILL, "trial 1 ("),
    "is killed in the finals": (signal.SIGKILL, "trial 2 (final) starts"),
    "is aborted": (signal.SIGABRT, "trial 1 ("),
    "crashes": (signal.SIGSEGV, "trial 1 ("),
}


@pytest.mark.parametrize("name", DRIVER_ENDS)
def test_a_driver_that(name: str, place: Place) -> None:
    process = place.start("tune.jax_phase12", *FAULTY)
    signum, moment = DRIVER_ENDS[name]
    read_until(process, moment)
    process.send_signal(signum)
    said, _ = process.communicate(timeout=60)
    assert "error: the search's own process died" in said
    assert "go on with --resume" in said
    assert_clean((said.partition("Fatal Python error")[2] and said.rpartition("\n\n")[2]) or said)
    assert profile_file.read(place.profile()).partial
    code, said = place.search("--resume")
    assert code == 0, said
    assert place.kinds()[0] == "baseline completed"
    assert not profile_file.read(place.profile()).partial


@pytest.mark.parametrize("num_cpus", [2, 128, 384])
@pytest.mark.parametrize("limit", [120, 240, 300, 400, 700])
def test_threads_are_limited_and_cpus_are_many(
    place: Place,
    fake_cpus: Callable[[int], dict[str, str]],
    pids_cgroup: Callable[[int], PidsCgroup],
    limit: int,
    num_cpus: int,
) -> None:
    cgroup = pids_cgroup(limit)
    folders = (str(place.folder / "out"), str(place.folder / "profiles"))
    ended = cgroup.run(
        [*SEARCH, "--max-runs", "1", "--out", folders[0], "--profiles", folders[1]],
        place.environment(**fake_cpus(num_cpus)),
    )
    assert_clean(ended.stdout + ended.stderr)
    assert cgroup.events == 0
    if ended.returncode == 0:
        assert place.kinds() == ["baseline completed", "final completed"]
        place.profile()
    else:
        needed = re.search(r"smallest limit that would do is (\d+)", ended.stderr)
        assert needed is not None, ended
        assert (ended.returncode, limit < int(needed[1]) < 300) == (2, True), ended


def test_threads_that_others_take_after_the_preflight(
    place: Place, pids_cgroup: Callable[[int], PidsCgroup]
) -> None:
    cgroup = pids_cgroup(2000)
    process = place.start("tune.jax_phase12", *FAULTY)
    cgroup.add(process.pid)
    before = read_until(process, "trial 0 (baseline) measured")
    cgroup.limit(int((cgroup.path / "pids.current").read_text()))  # not one more, for anybody
    rest, _ = process.communicate(timeout=200)
    assert "Traceback" not in rest, before + rest
    assert process.returncode == 0 or "error: " in rest, before + rest
    assert "there is no room for one more process" in rest or "process died" in rest
    assert profile_file.read(place.profile()).config["num_envs"] in {8, 16}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("at", ["Space:", "trial 0 (", "trial 2 (final) starts"])
def test_ctrl_c_at_any_moment(place: Place, at: str, times: int) -> None:
    process = place.start("tune.jax_phase12", *FAULTY)
    before = read_until(process, at)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, before + rest
    assert_clean(rest)
    if at != "Space:":
        assert "interrupted" in rest
    if "final" in at:
        assert profile_file.read(place.profile()).partial


def test_two_searches_on_one_machine_are_told(place: Place) -> None:
    first = place.start("tune.jax_phase12", *FAULTY, "--option", "update_s=0.5")
    try:
        read_until(first, "trial 0 (")
        code, said = place.search("--out", "other")
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert code == 0, said
    assert f"Another search (process {first.pid}) runs on this machine." in said


def test_a_torn_journal_is_resumed_twice(place: Place) -> None:
    code, said = place.search("--max-runs", "1")
    assert code == 0, said
    journal = place.folder / "out" / "journal.log"
    os.truncate(journal, journal.stat().st_size - 40)
    for _ in range(2):
        code, said = place.search("--resume")
        assert code == 0, said
        assert_clean(said)
    assert place.kinds()[0] == "baseline completed"


def test_secrets_are_in_no_file(place: Place) -> None:
    secret = "s3cr3tvalue"
    code, said = place.search("--max-runs", "1", "--option", f"api_key={secret}")
    assert code == 0, said
    assert secret not in said
    holders = [
        str(path)
        for path in place.folder.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert holders == []
    code, said = place.run("tune.profile", "validate", str(place.profile()))
    assert code == 2
    assert "does not hold what is secret, api_key" in said
    code, said = place.run(
        "tune.profile", "validate", str(place.profile()), "--option", f"api_key={secret}"
    )
    assert code in {0, 1}, said


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a disk of its own on `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs a mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_training_that_fills_the_disk_is_ended_and_costs_no_result(place: Place) -> None:
    with small_disk(place.folder / "out", "60m"):
        file = f"file={place.folder}/out/filled"
        code, said = place.search(
            *("--option", "fault=fill", "--option", "when=16", "--option", file)
        )
        assert_clean(said)
        assert "the disk" in said
        assert code in {0, 2}, said
    place.profile()


def test_a_disk_that_is_full_from_the_start_is_one_sentence(place: Place) -> None:
    with small_disk(place.folder / "out", "1m"):
        fill(place.folder / "out" / "other")
        code, said = place.search()
    assert code == 2, said
    assert_clean(said)
    assert "No space left on device" in said or "cannot be written" in said


def test_profiles_that_cannot_be_written_leave_the_answer_on_the_screen(place: Place) -> None:
    with small_disk(place.folder / "profiles", "64k"):
        fill(place.folder / "profiles" / "other")
        code, said = place.search()
    assert code == 2, said
    assert_clean(said)
    assert "is already" in said or "faster than" in said
    assert "cannot write the profile" in said


def a_link(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    target.write_text("precious")
    path.symlink_to(target)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def text(content: str | bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


RUN_FOLDER_FILES = {
    "lock is a link": ("lock", a_link, (), "out/lock"),
    "lock is a FIFO": ("lock", a_fifo, (), "Not a regular file"),
    "run.log is a link": ("run.log", a_link, (), "out/run.log"),
    "run.log is a FIFO": ("run.log", a_fifo, (), "out/run.log"),
    "run.log is a folder": ("run.log", a_folder, (), "out/run.log"),
    "journal is a link": ("journal.log", a_link, (), "holds a search already"),
    "journal is a link, resumed": ("journal.log", a_link, ("--resume",), "not a readable journal"),
    "journal is a FIFO": ("journal.log", a_fifo, (), "holds a search already"),
    "journal is a FIFO, resumed": ("journal.log", a_fifo, ("--resume",), "Not a regular file"),
    "journal is a folder": ("journal.log", a_folder, ("--resume",), "not a readable journal"),
    "journal is empty": ("journal.log", text(""), ("--resume",), "--resume found no search"),
    "journal is binary": (
        "journal.log",
        text(bytes(range(256)) * 40),
        ("--resume",),
        "not a readable journal",
    ),
    "journal of another program": (
        "journal.log",
        text('{"op_code":99,"worker_id":"x"}\n'),
        ("--resume",),
        "not a readable journal",
    ),
}


@pytest.mark.parametrize("name", RUN_FOLDER_FILES)
def test_a_run_folder_whose(name: str, place: Place) -> None:
    file, make, more, says = RUN_FOLDER_FILES[name]
    (place.folder / "out").mkdir()
    make(place.folder / "out" / file)
    code, said = place.search(*more)
    assert (code, says in said) == (2, True), said
    assert_clean(said)
    elsewhere = place.folder / "elsewhere"
    assert not elsewhere.exists() or elsewhere.read_text() == "precious"


LAUGHS = "".join(
    f"{chr(97 + n)}: &{chr(97 + n)} [{', '.join([f'*{chr(96 + n)}'] * 9) if n else 'lol'}]\n"
    for n in range(12)
)
PROFILES = {
    "a FIFO": (a_fifo, "Not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "Not a regular file"),
    "a folder": (a_folder, "Is a directory"),
    "empty": (text(""), "must map names to values"),
    "binary": (text(bytes(range(256))), "is not YAML"),
    "too long": (text("a: 1\n" * 400_000), "Longer than 1 MiB"),
    "a billion laughs": (text(LAUGHS), "aliases"),
    "of objects": (text("!!python/object/apply:os.system ['touch hacked']\n"), "is not YAML"),
    "of another version": (text("schema_version: 99\n"), "reads version 1, got 99"),
    "deep": (text("[" * 100_000), "is not YAML"),
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_is(name: str, place: Place) -> None:
    make, says = PROFILES[name]
    path = place.folder / "bad.yaml"
    make(path)
    for command in ("show", "validate"):
        code, said = place.run("tune.profile", command, "bad.yaml", timeout_s=60)
        assert (code, says in said) == (2, True), said
        assert_clean(said)
    assert not (place.folder / "hacked").exists()


DATA = {
    "a FIFO": (a_fifo, "bars"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "bars"),
    "a folder": (a_folder, "bars"),
    "empty": (text(""), "bars"),
    "binary": (text(bytes(range(256)) * 100), "bars"),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_is(name: str, place: Place) -> None:
    make, says = DATA[name]
    make(place.folder / "bars.csv")
    code, said = place.run("tune.jax_phase12", "--data", "bars.csv", timeout_s=60)
    assert (code, says in said) == (2, True), said
    assert_clean(said)


def test_a_working_folder_that_was_deleted_is_one_sentence(place: Place) -> None:
    gone = place.folder / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["bash", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "x", *SEARCH],
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "error: the folder you are in was deleted" in ended.stderr


def test_a_folder_whose_name_is_no_utf_8(place: Place) -> None:
    code, said = place.search("--out", os.fsdecode(b"out-\xff"))
    assert code == 2, said
    assert_clean(said)
    assert "--out is not UTF-8" in said


def test_stdout_that_is_closed_costs_no_profile(place: Place) -> None:
    ended = subprocess.run(
        ["bash", "-c", 'exec "$@" >&- 2>&-', "x", *SEARCH, "--max-runs", "1"],
        cwd=place.folder,
        env=place.environment(),
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0
    place.profile()
