"""Commands that a person ends, or that a disk ends."""

import errno
import os
import subprocess
import sys

import pytest

from cluster import cli
from places import PYTHONPATH

DROPS = """
import time, weakref
from cluster import cli

class Thing: ...

def interrupt(_):
    raise {error}

def action():
    thing = Thing()
    reference = weakref.ref(thing, interrupt)
    del thing  # Python drops what its callback raises
    time.sleep({seconds})
    return 0

raise SystemExit(cli.run(action))
"""


@pytest.mark.parametrize(
    ("error", "seconds", "code", "said"),
    [("KeyboardInterrupt", 600, 130, "interrupted.\n"), ("ValueError(7)", 0, 0, "ValueError: 7\n")],
)
def test_ctrl_c_that_python_drops_ends_the_command(
    error: str, seconds: float, code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPS.format(error=error, seconds=seconds)],
        env={"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.endswith(said)
    assert ("Exception ignored" in done.stderr) == (code == 0)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "error: p/x: No space left on device: make room there, or correct"),
        (errno.EACCES, "error: p/x: Permission denied: "),
        (errno.EROFS, "error: p/x: Read-only file system: "),
    ],
)
def test_disk_that_refuses_is_one_sentence(
    number: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def action() -> int:
        raise OSError(number, os.strerror(number), "p/x")

    assert cli.run(action) == cli.USER_ERROR
    assert capsys.readouterr().err.startswith(said)
    with pytest.raises(OSError, match="p/x"):
        cli.run(action, debug=True)


def test_other_error_of_the_system_keeps_its_traceback() -> None:
    def action() -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    with pytest.raises(OSError, match="Bad file descriptor"):
        cli.run(action)
