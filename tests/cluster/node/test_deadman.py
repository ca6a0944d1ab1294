"""The dead-man ends the job and the rent."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from box_jobs import start, wait_for
from cluster.box import __main__ as box_commands
from cluster.box.folder import BoxFolder
from cluster.errors import BoxError
from cluster.node import deadman, processes
from cluster.node.atomic import read_json, write_json
from cluster.node.deadman import Armed, DeadmanFolder
from places import ROOT


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
    assert processes.of_job(box.job("j1").mark, box.job("j1").supervisor) == set()
    box.job("j1").end_reason.rmdir()


def arm_for_now(folder: Path, *stop_command: str) -> DeadmanFolder:
    made = DeadmanFolder(folder)
    write_json(made.armed, {"deadline": 0.0, "stop_command": stop_command})
    return made


@pytest.mark.parametrize("code", [0, 7])
def test_stop_command_is_repeated_while_the_machine_lives(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "_RETRY_S", 0.0)
    script = 'echo >> "$0/runs"; [ $(wc -l < "$0/runs") -lt 3 ] || rm "$0/deadman.json"; exit $1'
    folder = arm_for_now(tmp_path, "sh", "-c", script, str(tmp_path), str(code))
    deadman.watch(folder, end=lambda: "j1")
    assert (tmp_path / "runs").read_text() == "\n" * 3
    assert read_json(folder.fired)["job"] == "j1"
    assert read_json(folder.fired)["stop_exit_code"] == code


@pytest.mark.timeout(60)
@pytest.mark.parametrize("step_s", [7200.0, -7200.0])
def test_clock_that_is_set_moves_no_deadline(
    step_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "_POLL_S", 0.05)
    monkeypatch.setattr(deadman, "_RETRY_S", 0.0)
    folder = DeadmanFolder(tmp_path)
    disarm = ["rm", str(folder.armed)]
    write_json(folder.armed, dataclasses.asdict(Armed.to_fire_in(2.0, disarm)))
    was, began = time.time(), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: was + step_s)
    state = deadman.status(folder)
    assert state is not None
    assert 0 < state.left_s <= 2
    deadman.watch(folder, end=lambda: "j1")
    assert 1.9 <= time.monotonic() - began < 50


def no_job() -> str | None:
    raise ProcessLookupError


def armed_anew_at_the_third_run(folder: Path) -> list[str]:
    """A stop command that arms the dead-man for later when it runs for the third time."""
    write_json(folder / "later.json", {"deadline": 9e9, "stop_command": ["true"]})
    script = (
        'echo >> "$0/runs"; [ $(wc -l < "$0/runs") -lt 3 ] || mv "$0/later.json" "$0/deadman.json"'
    )
    return ["sh", "-c", script, str(folder)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_armed_before", [False, True])
def test_what_is_armed_later_ends_a_dead_man_that_no_file_tells_of(
    is_armed_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "_RETRY_S", 0.0)
    folder = DeadmanFolder(tmp_path)
    if is_armed_before:
        write_json(folder.armed, {"deadline": 8e9, "stop_command": ["true"]})
    order = {"deadline": 0.0, "stop_command": armed_anew_at_the_third_run(tmp_path)}
    deadman.fire_now(folder, order, end=no_job)
    assert (tmp_path / "runs").read_text() == "\n" * 3


@pytest.mark.timeout(60)
def test_what_is_armed_later_ends_a_dead_man_that_was_not_found_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that came late is not recorded any more once the next is."""
    monkeypatch.setattr(deadman, "_RETRY_S", 0.0)
    folder = arm_for_now(tmp_path, *armed_anew_at_the_third_run(tmp_path))
    deadman.watch(folder, end=no_job)
    assert (tmp_path / "runs").read_text() == "\n" * 3


def test_dead_man_that_ends_at_once_is_told_from_one_that_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends.py").touch()
    (tmp_path / "comes.py").write_text("import time; time.sleep(20)")
    for seconds, module, error in ((600.0, "ends", BoxError), (0.0, "comes", deadman.LateError)):
        monkeypatch.setattr(deadman, "_START_S", seconds)
        with pytest.raises(BoxError, match="could not start the dead-man") as raised:
            deadman.arm(
                DeadmanFolder(tmp_path), hours=1, stop_command=[], words=[module], cwd=tmp_path
            )
        assert raised.type is error


@pytest.mark.parametrize(
    ("words", "code"),
    [(["{}/no-line"], 126), (["{}"], 126), (["{}/none"], 127), (["true"], 0)],
)
def test_dead_man_outlives_what_fails(words: Sequence[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "no-line").write_text("exit 0\n")  # no #! line: a shell alone would run it
    (tmp_path / "no-line").chmod(0o700)
    folder = arm_for_now(tmp_path, *(word.format(tmp_path) for word in words))
    watching = threading.Thread(
        target=deadman.watch, args=[folder], kwargs={"end": no_job}, daemon=True
    )
    watching.start()
    wait_for(lambda: (read_json(folder.fired) or {}).get("stop_exit_code") == code)
    assert watching.is_alive()
    deadman.disarm(folder)


def test_stop_command_without_a_program_is_refused_and_the_deadline_stays(box: BoxFolder) -> None:
    box_commands.arm(box, {"hours": 1.0, "stop_command": ["true"]})
    with pytest.raises(BoxError, match="no program 'no-such-tool' on this machine"):
        box_commands.arm(box, {"hours": 2.0, "stop_command": ["no-such-tool", "-x"]})
    known = deadman.armed(box.deadman)
    assert known is not None
    assert known.stop_command == ("true",)


FAILS_TO_END = """
import pathlib, sys
from cluster.node import deadman

def end():
    raise OSError("no room")

deadman._RETRY_S = 0.0
deadman.watch(deadman.DeadmanFolder(pathlib.Path(sys.argv[1])), end=end)
"""


def test_stop_command_runs_though_the_log_is_full(tmp_path: Path) -> None:
    folder = arm_for_now(tmp_path, "sh", "-c", 'rm "$0"/deadman.json', str(tmp_path))
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", FAILS_TO_END, str(tmp_path)]
        subprocess.run(words, cwd=ROOT, stderr=full, timeout=60, check=False)
    assert not folder.armed.exists()
