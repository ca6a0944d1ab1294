"""Fixtures that make a small machine look like others, and a folder that Ray can work in."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pids_cgroup import PidsCgroup, make_pids_cgroup, remove
from places import SUPPORT
from trainables.disturbance import IGNORES

# A shell that runs pytest in the background ignores Ctrl-C for it, nohup a lost terminal, and so
# would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests run side by side, and each is the others' neighbour.
os.environ[IGNORES] = "1"


@pytest.fixture(scope="session")
def fake_cpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """Return the variables under which a process sees so many CPUs."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc, to build the library that fakes the number of CPUs")
    library = tmp_path_factory.mktemp("fakecpu") / "fakecpu.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", library, SUPPORT / "fakecpu.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return lambda num_cpus: {"LD_PRELOAD": str(library), "FAKE_NUM_CPUS": str(num_cpus)}


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def pids_cgroup() -> Iterator[Callable[[int], PidsCgroup]]:
    """Return a maker of cgroups with room for so many threads."""
    made: list[PidsCgroup] = []

    def make(max_threads: int) -> PidsCgroup:
        cgroup = PidsCgroup(path=make_pids_cgroup(f"test-{os.getpid()}-{len(made)}"))
        made.append(cgroup)
        cgroup.limit(max_threads)
        return cgroup

    yield make
    for cgroup in made:
        cgroup.kill()
        remove(cgroup.path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first: side by side, none is left to run alone at the end."""
    seconds: dict[Path, float] = {}
    for item in items:
        if marker := item.get_closest_marker("seconds"):
            seconds[item.path] = max(marker.args[0], seconds.get(item.path, 0.0))
    items.sort(key=lambda item: -seconds.get(item.path, 0.0))
