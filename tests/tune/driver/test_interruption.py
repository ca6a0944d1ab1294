"""The end before its time, in real processes whose main thread never comes back."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from places import ROOT
from subprocesses import rest_of

PROGRAM = """
import subprocess, sys, threading, time
from pathlib import Path
from cluster.errors import UserError
from tune.driver.ending import Ending
from tune.driver.interruption import Interruption

folder, busy = Path(sys.argv[1]), threading.RLock()
(folder / "ray").mkdir()
ray = [subprocess.Popen([folder / "raylet", "60"], start_new_session=True)]
if "trains" in sys.argv:
    script = 'folder/raylet 60 & echo $! > folder/of_trial; wait'.replace("folder", str(folder))
    subprocess.Popen(["sh", "-c", script], start_new_session=True)
    while not (folder / "of_trial").exists() or not (folder / "of_trial").read_text():
        time.sleep(0.01)

def conclude(ending):
    (folder / "result").write_text(ending.name)
    if ending is Ending.RAY_LOST:
        raise UserError("Ray is gone: go on with --resume.")
    return 130

watch = Interruption(
    conclude,
    busy=busy,
    is_silent=lambda: "silent" in sys.argv,
    ray_folders=[folder / "ray"],
)
with watch.watched():
    (folder / "pid").write_text(str(ray[0].pid))
    print("ready", flush=True)
    if "ends" not in sys.argv:
        while True:
            with busy:
                time.sleep(0.05)
            time.sleep(0.05)
print("over", flush=True)
ray[0].kill()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the program; it has a process called raylet."""
    shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "raylet")
    started = []

    def start(*words: str, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*before, sys.executable, "-c", PROGRAM, str(tmp_path), *words],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(raylet_of(tmp_path), signal.SIGKILL)  # it has the pipes, too
        process.communicate()


def raylet_of(folder: Path) -> int:
    return int((folder / "pid").read_text())


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_writes_the_result_and_leaves_no_process(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"], sent: signal.Signals
) -> None:
    process = start()
    began = time.monotonic()
    process.send_signal(sent)
    process.send_signal(sent)  # the second is nothing
    assert process.wait(timeout=20) == 130
    assert time.monotonic() - began < 5
    assert (tmp_path / "result").read_text() == "INTERRUPTED"
    assert not is_alive(raylet_of(tmp_path))
    assert not (tmp_path / "ray").exists()


def test_a_signal_that_ended_ray_first_is_the_signals_end(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start()
    os.kill(raylet_of(tmp_path), signal.SIGKILL)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 130
    assert (tmp_path / "result").read_text() == "INTERRUPTED"


def test_a_ray_that_is_killed_ends_the_search_with_a_sentence(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start()
    os.kill(raylet_of(tmp_path), signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (2, "error: Ray is gone: go on with --resume.\n")
    assert (tmp_path / "result").read_text() == "RAY_LOST"


def test_the_ray_of_a_training_ends_with_it_and_not_the_search(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """A script of RLlib has a Ray of its own."""
    process = start("trains")
    os.kill(int((tmp_path / "of_trial").read_text()), signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)  # it looks twice in a second
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 130
    assert (tmp_path / "result").read_text() == "INTERRUPTED"


def test_a_worker_that_no_longer_answers_ends_the_search(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start("silent")
    process.communicate(timeout=20)
    assert (tmp_path / "result").read_text() == "SILENT"
    assert not is_alive(raylet_of(tmp_path))


def test_a_search_that_ends_by_itself_is_left_alone(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    output = rest_of(start("ends"), timeout_s=20)
    assert output == "over\n"
    assert not (tmp_path / "result").exists()


def test_under_nohup_a_lost_terminal_ends_nothing(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start(before=("nohup",))
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    assert not (tmp_path / "result").exists()
