"""A box of the fleet on this machine: an ssh that runs here what it is told.

What travels is `cluster` as it is, with a preflight and a `make setup` that take no time.
"""

import io
import sys
import tarfile
from pathlib import Path

import pytest

from cluster.box import jobs
from cluster.box.folder import BoxFolder
from cluster.fleet.hosts import Host
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder
from cluster.fleet.up import Code, bring_up
from cluster.node import processes
from places import ROOT

_SSH = """
for last; do :; done
cd {home} && exec sh -c "$last"
"""
_MAKEFILE = """setup:
\techo made >> made
\tmkdir -p .venv/bin
\tprintf '#!/bin/sh\\nexec {python} "$$@"\\n' > .venv/bin/python
\tchmod +x .venv/bin/python
"""
_PREFLIGHT = """
import dataclasses, json
from cluster.node import hardware
machine = dataclasses.asdict(hardware.probe())
print(json.dumps({"findings": {"machine": machine}, "fit": True, "meaning": "Fit."}))
"""


class LocalBox:
    """A box `a`, and the laptop's side of it."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._programs = place / "home", place / "programs"
        self.home.mkdir()
        self._programs.mkdir()
        monkeypatch.setenv("PATH", str(self._programs), prepend=":")
        self.put("ssh", _SSH.format(home=self.home))
        self.put("python3", f'exec {sys.executable} "$@"')
        self.remote = RemoteBox.of(
            Host(name="a", address="x"), StateFolder.beside(place / "h.toml")
        )
        self.folder = BoxFolder(self.home / "rl-tuner-fleet")

    def put(self, program: str, script: str) -> Path:
        """Put a script in front of the box's programs, and of the laptop's."""
        path = self._programs / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    def greet(self, text: str) -> None:
        """Have its shell print this before each command's own output."""
        self.put("ssh", f"echo '{text}'\n{_SSH.format(home=self.home)}")

    def up(self, *, max_hours: float | None = None) -> str:
        """Set it up; return what was said."""
        lines: list[str] = []
        bring_up(
            self.remote,
            Code(revision="0" * 40, num_changed=0, tar=_tree()),
            accept="refuse",
            max_hours=max_hours,
            python=None,
            dashboard=False,
            say=lines.append,
        )
        return "\n".join(lines)

    def start(self, script: str) -> None:
        """Start a job: a script of sh."""
        request = {"name": "j1", "words": ["sh", "-c", script], "resume": False}
        self.remote.ask("start", request)

    def end(self) -> None:
        """End what runs on it."""
        jobs.stop(self.folder, reason="stopped", grace_s=0.0)
        processes.kill(self.folder.deadman.process)


def _tree() -> bytes:
    own = {"Makefile": _MAKEFILE.format(python=sys.executable), "tune/preflight.py": _PREFLIGHT}
    own["tune/__init__.py"] = ""
    files = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("cluster/**/*.py")}
    content = {name: path.read_bytes() for name, path in files.items()}
    content |= {name: text.encode() for name, text in own.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
