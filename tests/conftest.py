"""Fixtures that make a small machine look like others: many CPUs, few threads."""

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cluster.node import cgroups

HERE = Path(__file__).parent

# A shell that runs pytest in the background ignores Ctrl-C for it, nohup a lost terminal, and so
# would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def fake_cpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """Return the variables under which a process sees so many CPUs."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc, to build the library that fakes the number of CPUs")
    library = tmp_path_factory.mktemp("fakecpu") / "fakecpu.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "fakecpu.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return lambda num_cpus: {"LD_PRELOAD": str(library), "FAKE_NUM_CPUS": str(num_cpus)}


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
        self, command: Sequence[str], env: Mapping[str, str], *, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the cgroup; whatever it left running is killed with it."""
        enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
        try:
            return subprocess.run(
                ["sh", "-c", enter, str(self.path), *command],
                env=dict(env),
                cwd=HERE.parent,
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


@pytest.fixture
def pids_cgroup() -> Iterator[Callable[[int], PidsCgroup]]:
    """Return a maker of cgroups with room for so many threads."""
    made: list[PidsCgroup] = []

    def make(max_threads: int) -> PidsCgroup:
        cgroup = PidsCgroup(path=_make_pids_cgroup(f"test-{os.getpid()}-{len(made)}"))
        made.append(cgroup)
        cgroup.limit(max_threads)
        return cgroup

    yield make
    for cgroup in made:
        cgroup.kill()
        _remove(cgroup.path)


def _make_pids_cgroup(name: str) -> Path:
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


def _remove(path: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return path.rmdir()
        except OSError:  # a killed process leaves its cgroup a moment later
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
