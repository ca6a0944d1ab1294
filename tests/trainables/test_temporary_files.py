"""A trial's own folder of temporary files: what it is told, what it keeps, and that it goes."""

import dataclasses
import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from places import PYTHONPATH, SUPPORT
from trainables.command.options import FACTORY
from trainables.measurement import Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from trainables.temporary_files import own_temporary_files

CHILDREN = SUPPORT / "fake_children" / "children.py"
REQUEST = TrialRequest(workload="a:b", config={}, options={}, platform="cpu", cpus=(0,))


def test_it_is_the_tmpdir_alone_and_is_removed(short_dir: Path) -> None:
    folder = short_dir / "of" / "one"
    folder.mkdir(parents=True)
    (folder / "left").write_text("by a trial whose worker was killed")
    given = {"HOME": "/h", "TMPDIR": str(short_dir)}
    with own_temporary_files(REQUEST, given, folder) as environment:
        assert environment == given | {
            "TMPDIR": str(folder),
            # torch's compiled kernels lie below TMPDIR: each trial would compile them anew
            "TORCHINDUCTOR_CACHE_DIR": f"{short_dir}/torchinductor_{getpass.getuser()}",
        }
        assert (folder.stat().st_mode & 0o777, os.listdir(folder)) == (0o700, [])
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    assert list(short_dir.rglob("*")) == [short_dir / "of"]


def test_a_cache_of_the_persons_stays_theirs(short_dir: Path) -> None:
    given = {"TMPDIR": str(short_dir), "TORCHINDUCTOR_CACHE_DIR": "/kept"}
    with own_temporary_files(REQUEST, given, short_dir / "one") as environment:
        assert environment["TORCHINDUCTOR_CACHE_DIR"] == "/kept"


def test_a_ray_that_runs_is_found_and_not_written_to(short_dir: Path) -> None:
    """`--env RAY_ADDRESS=auto` asks a file for it; `ray start` in a training writes one."""
    (short_dir / "ray").mkdir()
    address = short_dir / "ray" / "ray_current_cluster"
    address.write_text("10.0.0.1:6379")
    folder = short_dir / "one"
    with own_temporary_files(REQUEST, {"TMPDIR": str(short_dir)}, folder):
        own = folder / "ray" / "ray_current_cluster"
        assert own.read_text() == "10.0.0.1:6379"
        own.write_text("127.0.0.1:1")
    assert address.read_text() == "10.0.0.1:6379"


COMMAND = {"workload": FACTORY, "options": {"variables": {"TMPDIR": "/scratch"}}}


@pytest.mark.parametrize(
    ("changes", "given", "folder"),
    [
        (COMMAND, {}, "/tmp/x"),  # --env TMPDIR=/scratch
        ({"config": {"env.TMPDIR": "/a"}}, {"TMPDIR": "/a"}, "/a/x"),
        ({}, {"TMPDIR": "/scratch"}, "/tmp/x"),  # another disk, and maybe a small one
        ({}, {"TEMP": "/scratch"}, "/tmp/x"),
        ({}, {"TMPDIR": "tmp"}, "/tmp/x"),
        ({}, {}, f"/tmp/{'x' * 35}"),  # Ray's sockets would not fit into 107 bytes
    ],
)
def test_the_environment_is_left_alone(
    changes: Mapping[str, Any], given: dict[str, str], folder: str
) -> None:
    request = dataclasses.replace(REQUEST, **changes)
    with own_temporary_files(request, given, Path(folder)) as environment:
        assert environment == given
        assert not Path(folder).exists()


def test_the_longest_leaves_room_for_the_sockets_of_ray() -> None:
    longest = Path("/tmp") / ("x" * 34)
    with own_temporary_files(REQUEST, {}, longest) as environment:
        session = f"ray/session_2026-12-01_03-19-59_497834_{2**22}/sockets/plasma_store"
        assert len(f"{environment['TMPDIR']}/{session}") == 107


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("report", OutcomeKind.COMPLETED),
        ("die", OutcomeKind.NODE_LOST),
        ("hang", OutcomeKind.TIMEOUT),
    ],
)
def test_nothing_is_left_of_a_trial(short_dir: Path, end: str, kind: OutcomeKind) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, "TMPDIR": str(short_dir)}
    *_, outcome = run_child(
        REQUEST,
        environment=environment,
        log_path=short_dir / "log",
        thread_cap=1,
        timeout_s=60.0 if kind is not OutcomeKind.TIMEOUT else 1.0,
        command=[sys.executable, str(CHILDREN), "leave_temporary_file", end],
        temporary=short_dir / "one",
    )
    assert isinstance(outcome, Outcome)
    assert outcome.kind is kind, outcome.message
    written = Path((short_dir / "log").read_text().splitlines()[0])
    assert written.parent == short_dir / "one"
    assert os.listdir(short_dir) == ["log"]
