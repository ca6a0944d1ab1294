"""A host leaves the cluster, and ends Ray, whatever ends its command."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopback import HEAD, PORTS
from places import PYTHONPATH

RAY_START = """
import pathlib, signal, subprocess, sys, time
folder = pathlib.Path(__file__).parents[2]

def end(*_):
    time.sleep(0.5)  # Ray's own end takes a while
    daemon.kill()
    (folder / "ended").touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
daemon = subprocess.Popen(["sleep", "97"], start_new_session=True)
print("Ray runtime started.", flush=True)
time.sleep(97)
"""
STAY = """
import pathlib, sys
from cluster import cli
from cluster.join import membership
from cluster.join.offer import HostOffer
from cluster.join.ports import Ports

sys.exit(
    cli.run(
        lambda: membership.stay(
            membership.prepare(),
            HostOffer(machine_class="few", num_gpus=0, on_cpu=True),
            Ports(gate=int(sys.argv[2])),
            address=sys.argv[1],
            head_address=None,
            dashboard=False,
        )
    )
)
"""


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM])
def test_ray_is_ended_in_order_also_where_the_terminal_is_lost(
    signum: signal.Signals, short_dir: Path
) -> None:
    """Each signal comes twice: a lost terminal sends its own so."""
    scripts = short_dir / "ray" / "scripts" / "scripts.py"
    scripts.parent.mkdir(parents=True)
    (scripts.parent / "__init__.py").touch()
    (scripts.parents[1] / "__init__.py").touch()
    scripts.write_text(RAY_START)
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", STAY, HEAD, str(PORTS.gate)],
        cwd=short_dir,
        env={**os.environ, "PYTHONPATH": f"{short_dir}:{PYTHONPATH}", "TMPDIR": str(short_dir)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        said = b""
        while b"ready. Ctrl-C ends the cluster." not in said:
            said += os.read(master, 4096)
        if signum == signal.SIGHUP:
            os.close(master)
        else:
            process.send_signal(signum)
        time.sleep(0.1)
        process.send_signal(signum)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    assert (short_dir / "ended").exists()
