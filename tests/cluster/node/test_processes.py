"""Processes are known by more than their number."""

import os
import subprocess
import sys
import time
from pathlib import Path

from cluster.node import processes
from cluster.node.atomic import read_json, write_json

WITHOUT_ITS_FIRST_THREAD = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_reused_pid_is_not_taken_for_the_process_that_had_it(tmp_path: Path) -> None:
    processes.record(tmp_path / "me", os.getpid())
    assert processes.is_alive(tmp_path / "me")
    known = read_json(tmp_path / "me")
    write_json(tmp_path / "me", known | {"start_ticks": known["start_ticks"] - 1})
    assert not processes.is_alive(tmp_path / "me")
    assert not processes.is_alive(tmp_path / "absent")


def test_process_whose_first_thread_has_ended_is_found_by_its_mark(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_ITS_FIRST_THREAD],
        env=os.environ | {processes.MARK: "here"},
        start_new_session=True,
    )
    try:
        while "Z (zombie)" not in Path(f"/proc/{process.pid}/status").read_text():
            time.sleep(0.01)
        assert processes.of_job("here", tmp_path / "no-supervisor") == {process.pid}
    finally:
        process.kill()
        process.wait()
