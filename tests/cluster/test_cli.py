"""Commands that a person ends."""

import subprocess
import sys

import pytest

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
