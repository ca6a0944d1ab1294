"""The box's code and environment: put in their place while no job runs from there."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from cluster.box import jobs
from cluster.box.folder import BoxFolder
from cluster.errors import BoxError
from cluster.node import processes
from cluster.node.atomic import write_text


def swap(box: BoxFolder, *, python: str) -> None:
    """Put the tree that was sent in the code's place, and record the interpreter that runs it.

    The environment moves along, its paths stay. Until `up` has finished, the box is not ready.

    Raises:
        BoxError: if a job runs, or an earlier installation does not end.
    """
    old = box.path / "code.old"
    with jobs.alone(box):
        if (job := jobs.running(box)) is not None:
            raise BoxError(f"runs the job {job.name}: its code stays as it is; `down` ends it.")
        _end_installation(box)
        box.ready.unlink(missing_ok=True)
        write_text(box.python, python, mode=0o600)  # first: it tells `up` whose folder this is
        if (box.code / ".venv").exists():
            (box.code / ".venv").rename(box.new_code / ".venv")
        shutil.rmtree(old, ignore_errors=True)
        if box.code.exists():
            box.code.rename(old)
        box.new_code.rename(box.code)
    shutil.rmtree(old, ignore_errors=True)


def install(box: BoxFolder, words: Sequence[str]) -> None:
    """Run a command that installs into the environment, to its end, in place of any before.

    The one before may still run: a link that breaks, or Ctrl-C on the laptop, does not end it.

    Raises:
        BoxError: if it fails, with its last lines.
    """
    with jobs.alone(box):
        _end_installation(box)
        process = subprocess.Popen(
            words,
            cwd=box.code,
            env={**os.environ, processes.MARK: _mark(box)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    printed, _ = process.communicate()
    if process.returncode != 0:
        lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
        raise BoxError(" / ".join(lines[-3:]) or f"{words[0]}: exit code {process.returncode}.")


def _end_installation(box: BoxFolder) -> None:
    if not processes.kill_all(_mark(box), box.path / "no supervisor"):
        raise BoxError("an earlier installation does not end: restart the box, or rent another.")


def _mark(box: BoxFolder) -> str:
    return str(box.code)
