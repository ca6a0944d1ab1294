"""Faults of files and disks through the real command line: torn, full, in the place of others."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_place import Place, assert_clean

pytestmark = [pytest.mark.slow, pytest.mark.seconds(180), pytest.mark.timeout(600)]


def test_a_torn_journal_is_resumed_twice(place: Place) -> None:
    code, said = place.search("--max-runs", "1")
    assert code == 0, said
    journal = place.folder / "out" / "journal.log"
    os.truncate(journal, journal.stat().st_size - 40)
    for _ in range(2):
        code, said = place.search("--resume")
        assert code == 0, said
        assert_clean(said)
    assert place.kinds()[0] == "baseline completed"


def test_secrets_are_in_no_file(place: Place) -> None:
    secret = "s3cr3tvalue"
    code, said = place.search("--max-runs", "1", "--option", f"api_key={secret}")
    assert code == 0, said
    assert secret not in said
    holders = [
        str(path)
        for path in place.folder.rglob("*")
        if path.is_file()
        and any(
            text in path.read_bytes() for text in (secret.encode(), secret.encode().hex().encode())
        )
    ]
    assert holders == []  # nor in Ray Tune's pickles, which are written in hexadecimals
    code, said = place.run("tune.profile", "validate", str(place.profile()))
    assert code == 2
    assert "does not hold what is secret, api_key" in said
    code, said = place.run(
        "tune.profile", "validate", str(place.profile()), "--option", f"api_key={secret}"
    )
    assert code in {0, 1}, said


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a disk of its own on `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs a mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_training_that_fills_the_disk_is_ended_and_costs_no_result(place: Place) -> None:
    with small_disk(place.folder / "out", "60m"):
        file = f"file={place.folder}/out/filled"
        code, said = place.search(
            *("--option", "fault=fill", "--option", "when=16", "--option", file)
        )
        assert_clean(said)
        assert "the disk" in said
        assert code in {0, 2}, said
    place.profile()


def test_a_disk_that_is_full_from_the_start_is_one_sentence(place: Place) -> None:
    with small_disk(place.folder / "out", "1m"):
        fill(place.folder / "out" / "other")
        code, said = place.search()
    assert code == 2, said
    assert_clean(said)
    assert "No space left on device" in said or "cannot be written" in said


def test_profiles_that_cannot_be_written_leave_the_answer_on_the_screen(place: Place) -> None:
    with small_disk(place.folder / "profiles", "64k"):
        fill(place.folder / "profiles" / "other")
        code, said = place.search()
    assert code == 2, said
    assert_clean(said)
    assert "is already" in said or "faster than" in said
    assert "cannot write the profile" in said


def a_link(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    target.write_text("precious")
    path.symlink_to(target)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def text(content: str | bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


RUN_FOLDER_FILES = {
    "lock is a link": ("lock", a_link, (), "out/lock"),
    "lock is a FIFO": ("lock", a_fifo, (), "Not a regular file"),
    "run.log is a link": ("run.log", a_link, (), "out/run.log"),
    "run.log is a FIFO": ("run.log", a_fifo, (), "out/run.log"),
    "run.log is a folder": ("run.log", a_folder, (), "out/run.log"),
    "journal is a link": ("journal.log", a_link, (), "holds a search already"),
    "journal is a link, resumed": ("journal.log", a_link, ("--resume",), "not a readable journal"),
    "journal is a FIFO": ("journal.log", a_fifo, (), "holds a search already"),
    "journal is a FIFO, resumed": ("journal.log", a_fifo, ("--resume",), "Not a regular file"),
    "journal is a folder": ("journal.log", a_folder, ("--resume",), "not a readable journal"),
    "journal is empty": ("journal.log", text(""), ("--resume",), "--resume found no search"),
    "journal is binary": (
        "journal.log",
        text(bytes(range(256)) * 40),
        ("--resume",),
        "not a readable journal",
    ),
    "journal of another program": (
        "journal.log",
        text('{"op_code":99,"worker_id":"x"}\n'),
        ("--resume",),
        "not a readable journal",
    ),
}


@pytest.mark.parametrize("name", RUN_FOLDER_FILES)
def test_a_run_folder_whose(name: str, place: Place) -> None:
    file, make, more, says = RUN_FOLDER_FILES[name]
    (place.folder / "out").mkdir()
    make(place.folder / "out" / file)
    code, said = place.search(*more)
    assert (code, says in said) == (2, True), said
    assert_clean(said)
    elsewhere = place.folder / "elsewhere"
    assert not elsewhere.exists() or elsewhere.read_text() == "precious"


LAUGHS = "".join(
    f"{chr(97 + n)}: &{chr(97 + n)} [{', '.join([f'*{chr(96 + n)}'] * 9) if n else 'lol'}]\n"
    for n in range(12)
)
PROFILES = {
    "a FIFO": (a_fifo, "Not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "Not a regular file"),
    "a folder": (a_folder, "Not a regular file"),
    "empty": (text(""), "must map names to values"),
    "binary": (text(bytes(range(256))), "is not YAML"),
    "too long": (text("a: 1\n" * 400_000), "Longer than 1 MiB"),
    "a billion laughs": (text(LAUGHS), "aliases"),
    "of objects": (text("!!python/object/apply:os.system ['touch hacked']\n"), "is not YAML"),
    "of another version": (text("schema_version: 99\n"), "reads version 1, got 99"),
    "deep": (text("[" * 100_000), "is not YAML"),
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_is(name: str, place: Place) -> None:
    make, says = PROFILES[name]
    path = place.folder / "bad.yaml"
    make(path)
    for command in ("show", "validate"):
        code, said = place.run("tune.profile", command, "bad.yaml", timeout_s=60)
        assert (code, says in said) == (2, True), said
        assert_clean(said)
    assert not (place.folder / "hacked").exists()


DATA = {
    "a FIFO": (a_fifo, "bars"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "bars"),
    "a folder": (a_folder, "bars"),
    "empty": (text(""), "bars"),
    "binary": (text(bytes(range(256)) * 100), "bars"),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_is(name: str, place: Place) -> None:
    make, says = DATA[name]
    make(place.folder / "bars.csv")
    code, said = place.run("tune.jax_phase12", "--data", "bars.csv", timeout_s=60)
    assert (code, says in said) == (2, True), said
    assert_clean(said)
