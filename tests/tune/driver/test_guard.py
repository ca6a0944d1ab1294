"""The guard of a process that dies in the middle, and of one that does not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from places import ROOT

PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path
from cluster.errors import UserError
from tune.driver.guard import guarded

folder = Path(sys.argv[1])

def conclude():
    (folder / "result").write_text("concluded")
    raise UserError("the search died.")

with guarded(conclude) as guard:
    (folder / "ray").mkdir()
    guard.remember(folder / "ray")
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    (folder / "pid").write_text(str(child.pid))
    time.sleep(5.0)  # the guard looks once a second, on a busy machine more seldom
    if "dies" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    if "aborts" in sys.argv:
        os.abort()
    if "concludes first" in sys.argv:
        guard.dismiss()
        child.kill()  # it has the pipes, too
        os._exit(3)
child.kill()
print("over")
"""


def run(folder: Path, word: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), word],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("word", ["dies", "aborts"])
def test_it_concludes_for_a_process_that_dies(tmp_path: Path, word: str) -> None:
    ended = run(tmp_path, word)
    assert ended.returncode < 0
    assert ended.stderr.endswith("error: the search died.\n")
    assert (tmp_path / "result").read_text() == "concluded"
    assert not (tmp_path / "ray").exists()
    pid = (tmp_path / "pid").read_text()
    deadline = time.monotonic() + 10
    while (
        Path("/proc", pid).exists()
        and "\nState:\tZ" not in Path("/proc", pid, "status").read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("word", "code"), [("ends", 0), ("concludes first", 3)])
def test_it_is_silent_where_the_process_concludes_by_itself(
    tmp_path: Path, word: str, code: int
) -> None:
    ended = run(tmp_path, word)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert not (tmp_path / "result").exists()
