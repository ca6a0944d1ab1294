"""What is printed when nobody reads it any more."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from cluster.node.stdout import UNREAD, lasting, until_unread
from places import ROOT


def closed_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed_terminal() -> TextIO:
    master, terminal = pty.openpty()
    os.close(master)
    return os.fdopen(terminal, "w")


def full_disk() -> TextIO:
    return Path("/dev/full").open("w")


@pytest.mark.parametrize(
    "module",
    [
        "tune.jax_phase12",
        "tune.preflight",
        "tune.profile",
        "tune.report",
        "cluster.fleet",
        "cluster.join",
        "benchmarks.landscape",
    ],
)
def test_help_that_nobody_reads_ends_as_by_sigpipe(module: str) -> None:
    with closed_pipe() as pipe:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (UNREAD, "")


def test_a_program_without_any_stdout_is_no_error() -> None:
    command = f"{sys.executable} -m tune.report nowhere >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_another_pipe_that_breaks_is_an_error() -> None:
    with pytest.raises(BrokenPipeError), until_unread():
        raise BrokenPipeError


@pytest.mark.parametrize("broken", [closed_pipe, closed_terminal, full_disk])
def test_stream_outlives_who_reads_it(broken: Callable[[], TextIO]) -> None:
    with broken() as stream:  # its end writes out what is left
        for _ in range(2):
            print("x" * 2**14, file=lasting(stream))
            print("x", file=lasting(stream), flush=True)


def test_stream_is_the_one_it_stands_for_in_all_else(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        stream = lasting(file)
        assert (stream.fileno(), stream.encoding) == (file.fileno(), file.encoding)
        print("seen", file=stream)
    assert (tmp_path / "file").read_text() == "seen\n"


PRINTS = """
import os, sys
from cluster import cli
def action():
    print("\\u2265 17", flush=True)
    print("\\u2265 18", file=sys.stderr, flush=True)
    sys.stdin.read()
    assert all(map(os.get_inheritable, range(3))), "what is started later has them, too"
    opened = os.open({path!r}, os.O_WRONLY | os.O_CREAT)
    os.write(opened, b"%d" % opened)
    return 0
sys.exit(cli.run(action))
"""


@pytest.mark.parametrize("closed", ["", ">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_closed_streams_and_no_file_takes_their_place(
    tmp_path: Path, closed: str
) -> None:
    program, seen = tmp_path / "program.py", tmp_path / "seen"
    program.write_text(PRINTS.format(path=str(seen)))
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$1" {closed}', sys.executable, program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(seen.read_text()) > 2
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"? 17\n")
