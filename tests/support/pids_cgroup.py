"""Cgroups that limit and count the threads of what runs in them; CPU seconds spent."""

import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cluster.node import cgroups
from places import ROOT


def cpu_seconds_of_children() -> float:
    """CPU seconds of this process's children so far, which a busy machine does not stretch much."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PidsCgroup:
    """A cgroup that limits and counts the threads of what runs in it."""

    path: Path

    @property
    def peak(self) -> int:
        """The most threads there ever were in it."""
        return int((self.path / "pids.peak").read_text())

    @property
    def events(self) -> int:
        """How many times the limit refused a thread or a process."""
        return int((self.path / "pids.events").read_text().split()[1])

    @property
    def pids(self) -> list[int]:
        """The processes in it."""
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def limit(self, threads: int) -> None:
        """Change the limit."""
        (self.path / "pids.max").write_text(str(threads))

    def add(self, pid: int) -> None:
        """Move a process, and what it will start, into the cgroup."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def run(
        self, command: Sequence[str], env: Mapping[str, str], *, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the cgroup; whatever it left running is killed with it."""
        enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
        try:
            return subprocess.run(
                ["sh", "-c", enter, str(self.path), *command],
                env=dict(env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                start_new_session=True,
                check=False,
            )
        finally:
            self.kill()

    def kill(self) -> None:
        """End every process in the cgroup."""
        deadline = time.monotonic() + 10
        while (pids := self.pids) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


def make_pids_cgroup(name: str) -> Path:
    """Make a cgroup below this process's own, v1 or v2, or skip the test."""
    reason = "no cgroup hierarchy with the pids controller is mounted"
    for parent in cgroups.ancestry("pids"):
        path = parent.path / name
        try:
            if parent.version == 2:
                if "pids" not in (parent.read("cgroup.controllers") or "").split():
                    continue
                (parent.path / "cgroup.subtree_control").write_text("+pids")
            path.mkdir()
        except OSError as error:
            reason = f"cannot make a cgroup in {parent.path}: {error.strerror}"
            continue
        if (path / "pids.peak").exists():
            return path
        path.rmdir()
        reason = f"this kernel's cgroups (in {parent.path}) have no pids.peak"
    pytest.skip(reason)


def remove(path: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return path.rmdir()
        except OSError:  # a killed process leaves its cgroup a moment later
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
