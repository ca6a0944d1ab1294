"""Conditions without which Ray does not start, and says only that it was too slow."""

import os
import socket
from pathlib import Path

from cluster.node import limits

_DIAL_S = 2.0


def missing_condition(*, shared_memory: Path = Path("/dev/shm")) -> str | None:
    """Return what keeps Ray from starting here and what to do, `None` if nothing is seen."""
    if not shared_memory.is_dir():
        return f"{shared_memory} is missing: mount one (docker run --shm-size=1g)."
    if not os.access(shared_memory, os.W_OK | os.X_OK):
        return f"{shared_memory} cannot be written by this user: chmod 1777 {shared_memory}"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=_DIAL_S).close()
    except OSError as error:
        return f"the loopback interface does not work ({error.strerror}): ip link set lo up"
    return None


def late_reason(logs: Path) -> str:
    """Say why Ray may be late: the machine's load, or the last error in its `logs`."""
    load, cpus = os.getloadavg()[0], limits.cpus().usable
    if load > cpus:
        return (
            f"this machine is too busy to be measured (a load of {load:.0f} on {cpus} CPUs). End "
            "what else runs here (top shows it) and start again."
        )
    lines = [line for path in sorted(logs.glob("*.err")) for line in _lines(path)]
    said = f" It says: {lines[-1][:300]}" if lines else ""
    return f"though this machine is not busy; its logs were in {logs}.{said}"


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
