"""The use of a trial's processes, read off fake trees of /proc, and the end of real ones."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainables import process_tree
from trainables.process_tree import ProcessTree, proportional_bytes

WITHOUT_ITS_FIRST_THREAD = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("up", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_threads_that_outlive_the_first_one_are_ended() -> None:
    command = [sys.executable, "-c", WITHOUT_ITS_FIRST_THREAD]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with contextlib.ExitStack() as stack:
        stack.callback(process.communicate)
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        while "Z (zombie)" not in Path(f"/proc/{process.pid}/status").read_text():
            time.sleep(0.01)
        tree = ProcessTree(process.pid)
        assert tree.usage().pids == (process.pid,)
        assert process.poll() is None
        assert tree.kill()
        assert process.wait(10) == -9


@pytest.mark.parametrize(
    ("files", "num_bytes"),
    [
        ({1: "Rss: 900 kB\nPss: 100 kB\n", 2: "Pss: 50 kB\n"}, 150 * 1024),
        ({1: "Pss: 100 kB\n"}, 100 * 1024),  # the other has ended
        ({}, 0),
        ({1: "Pss: 100 kB\n", 2: None}, None),  # gVisor has no such file
    ],
)
def test_shared_pages_are_shared_out_where_the_kernel_tells(
    files: dict[int, str | None],
    num_bytes: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    for pid, text in files.items():
        (tmp_path / str(pid)).mkdir()
        if text is not None:
            (tmp_path / str(pid) / "smaps_rollup").write_text(text)
    assert proportional_bytes([1, 2]) == num_bytes
