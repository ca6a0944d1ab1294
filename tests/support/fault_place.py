"""A place to have faults in: real commands, and a look at what they leave behind."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from places import PYTHONPATH
from tune.profile import file as profile_file

MARK = "TEST_FAULT"
FAULTY = (
    *("--workload", "faulty_workload:factory"),
    *("--space", "num_envs=8,16", "--max-runs", "2", "--finalists", "1", "--final-rounds", "1"),
    *("--soak-updates", "0", "--out", "out"),
)
SEARCH = (sys.executable, "-m", "tune.jax_phase12", *FAULTY)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder to search in, one for temporary files, and a mark on all processes."""

    folder: Path
    temporary: Path
    mark: str

    def environment(self, **variables: str) -> dict[str, str]:
        own = {"PYTHONPATH": PYTHONPATH, "TMPDIR": str(self.temporary), MARK: self.mark}
        return os.environ | own | variables

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )

    def run(self, *words: str, timeout_s: float = 300, **variables: str) -> tuple[int, str]:
        process = self.start(*words, **variables)
        try:
            said, _ = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
            process.wait()
        return process.returncode, said

    def search(self, *arguments: str, **variables: str) -> tuple[int, str]:
        return self.run("tune.jax_phase12", *FAULTY, *arguments, timeout_s=300, **variables)

    def trials(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "out" / "trials.json").read_text())["trials"])

    def kinds(self) -> list[str]:
        return [f"{trial['stage']} {trial['outcome']['kind']}" for trial in self.trials()]

    def profile(self) -> Path:
        [path] = (self.folder / "profiles").glob("*fastest*.yaml")
        profile_file.read(path)
        return path

    def processes(self) -> dict[int, str]:
        wanted = f"{MARK}={self.mark}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                is_alive = "\nState:\tZ" not in (entry / "status").read_text()
                if is_alive and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def is_tidy(self) -> bool:
        return not self.processes() and not self.left()

    def left(self) -> list[str]:
        """Return what is left of temporary files but the token, and the lock beside it."""
        paths = [path for path in self.temporary.rglob("*") if not path.is_dir()]
        return [str(p) for p in paths if p.name not in {"ray_token", "search.lock"}]


@contextlib.contextmanager
def tidy_place(folder: Path) -> Iterator[Place]:
    """Yield a place, and see at the end that it is tidy."""
    temporary = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))  # Ray's sockets need a short path
    made = Place(folder=folder, temporary=temporary, mark=temporary.name)
    try:
        yield made
        deadline = time.monotonic() + 30
        while not made.is_tidy() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert made.processes() == {}
        assert made.left() == []
    finally:
        for pid in made.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(temporary, ignore_errors=True)


def assert_clean(said: str) -> None:
    """Check that nothing is a traceback, and nothing is obeyed by a terminal."""
    assert "Traceback" not in said, said
    assert [char for char in said if not (char.isprintable() or char in "\n\r")] == []
