"""The dead-man ends the job and the rent."""

from pathlib import Path

from box_jobs import start, wait_for
from cluster.box import __main__ as box_commands
from cluster.box.folder import BoxFolder
from cluster.node import deadman, processes
from cluster.node.atomic import read_json


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
