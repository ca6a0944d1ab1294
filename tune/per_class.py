"""One search per class of hardware, of a cluster or of one machine's GPUs, all at the same time.

Each is a process of its own: Ray Tune drives one search per process, and a search that dies must
not end the others.
"""

import datetime
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from cluster import cli
from cluster.node.arguments import with_options
from cluster.node.stdout import lasting
from tune.run_folder.folder import RUNS, known_paths, new_path, nothing_to_resume
from tune.spec import SearchSpec


def run(variables: Mapping[str, Mapping[str, str]], spec: SearchSpec, *, task_name: str) -> int:
    """Run this command line once per class, forward its output, and return the worst exit code.

    `variables` are what each class's process is told beside this one's environment. Each class has
    a folder of its name; `--resume` continues a search that was begun there.

    Raises:
        UserError: if there is nothing to resume.
    """
    folder = _folder(spec, task_name, datetime.datetime.now(datetime.UTC))
    children = [
        subprocess.Popen(
            with_options(
                [sys.executable, *sys.orig_argv[1:]],
                [f"--machine-class={name}", f"--out={folder / name}"],
            ),
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        for name, own in variables.items()
    ]
    threads = []
    for name, child in zip(variables, children, strict=True):
        tell = _with_class if spec.json else _behind_class
        assert child.stdout is not None
        assert child.stderr is not None
        threads.append(_forward(child.stdout, lasting(sys.stdout), functools.partial(tell, name)))
        threads.append(_forward(child.stderr, sys.stderr, functools.partial(_behind_class, name)))
    codes = _wait(children)
    for thread in threads:
        thread.join()
    return worst(codes)


def worst(codes: Sequence[int]) -> int:
    """Return one exit code for all: interrupted, else a mistake, else without a profile, else 0."""
    if cli.INTERRUPTED in codes:
        return cli.INTERRUPTED
    return next((code for code in (cli.USER_ERROR, *codes) if code and code in codes), 0)


def _folder(spec: SearchSpec, task_name: str, now: datetime.datetime) -> Path:
    if not spec.resume or spec.out is not None:
        return spec.out or new_path(task_name, now)
    for path in known_paths(task_name):
        if any(path.glob("*/journal.log")):
            return path
    raise nothing_to_resume(RUNS / f"{task_name}-*")


def _wait(children: Sequence["subprocess.Popen[str]"]) -> list[int]:
    """Wait for all children. Ctrl-C reaches them by the terminal; SIGTERM is forwarded."""

    def hand_on(signum: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(signum)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        return [_wait_patiently(child) for child in children]
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_patiently(child: "subprocess.Popen[str]") -> int:
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the child ends by itself, and keeps its result


def _forward(source: IO[str], target: IO[str], tell: Callable[[str], str]) -> threading.Thread:
    """Copy lines as they come, each by one `write`, so that lines of two searches do not mix."""

    def copy() -> None:
        for line in source:
            target.write(tell(line.rstrip("\n")) + "\n")
            target.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _behind_class(name: str, line: str) -> str:
    return f"{name}  {line}"


def _with_class(name: str, line: str) -> str:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    return json.dumps(event | {"machine_class": name})
