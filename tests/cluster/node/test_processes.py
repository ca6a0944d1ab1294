"""Processes are known by more than their number."""

import os
from pathlib import Path

from cluster.node import processes
from cluster.node.atomic import read_json, write_json
from subprocesses import without_its_first_thread


def test_reused_pid_is_not_taken_for_the_process_that_had_it(tmp_path: Path) -> None:
    processes.record(tmp_path / "me", os.getpid())
    assert processes.is_alive(tmp_path / "me")
    known = read_json(tmp_path / "me")
    write_json(tmp_path / "me", known | {"start_ticks": known["start_ticks"] - 1})
    assert not processes.is_alive(tmp_path / "me")
    assert not processes.is_alive(tmp_path / "absent")


def test_process_whose_first_thread_has_ended_is_found_by_its_mark(tmp_path: Path) -> None:
    with without_its_first_thread(**{processes.MARK: "here"}) as process:
        assert processes.of_job("here", tmp_path / "no-supervisor") == {process.pid}
