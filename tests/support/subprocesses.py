"""Programs that a test started and goes on beside."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

_WITHOUT_ITS_FIRST_THREAD = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@contextlib.contextmanager
def without_its_first_thread(**variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process whose first thread has ended, and another of its threads sleeps."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WITHOUT_ITS_FIRST_THREAD],
        env=os.environ | variables,
        start_new_session=True,
    )
    try:
        while "Z (zombie)" not in Path(f"/proc/{process.pid}/status").read_text():
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def descendants(
    process: "subprocess.Popen[str]", is_wanted: Callable[[psutil.Process], bool] = lambda _: True
) -> list[psutil.Process]:
    """Return the processes below it that are wanted; what ends meanwhile, as trials do, is none."""
    found = []
    for member in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if is_wanted(member):
                found.append(member)
    return found


def is_alive(member: psutil.Process) -> bool:
    """Return whether it runs, and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    return False


def rest_of(process: "subprocess.Popen[str]", *, timeout_s: float = 300) -> str:
    """Return what is left of its output, and wait for its end; it is killed after `timeout_s`.

    `communicate` would lose what came along with the line that was read last.
    """
    assert process.stdout is not None
    too_late = threading.Timer(timeout_s, process.kill)
    too_late.start()
    with process.stdout:
        said = process.stdout.read()
    process.wait()
    too_late.cancel()
    return said


def ended_with_code(process: "subprocess.Popen[str]", code: int) -> str:
    """Wait for its end, assert its exit code, and return what it said."""
    said = rest_of(process)
    assert process.returncode == code, said
    return said


def read_until(process: "subprocess.Popen[str]", *texts: str) -> str:
    """Read its lines until each text was in one of them."""
    assert process.stdout is not None
    lines: list[str] = []
    missing = set(texts)
    for line in process.stdout:
        lines.append(line)
        missing -= {text for text in missing if text in line}
        if not missing:
            return "".join(lines)
    raise AssertionError(f"it ended without {missing}:\n{''.join(lines)}")
