"""The code that travels to a box, and `up` that is repeated."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from box_jobs import wait_for
from cluster.errors import FleetError
from cluster.fleet import send, up
from cluster.fleet.ssh import HostError
from cluster.fleet.up import pack
from cluster.node import deadman
from local_box import LocalBox


def commit(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    (folder / "file").write_text("content")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)


def test_the_last_commit_travels(tmp_path: Path) -> None:
    commit(tmp_path)
    (tmp_path / "file").write_text("changed")
    code = pack(tmp_path)
    assert (len(code.revision), code.num_changed) == (40, 1)
    assert b"content" in code.tar


def test_what_git_refuses_is_told_in_gits_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FleetError, match="not a git repository"):
        pack(tmp_path)
    commit(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(FleetError, match="dubious ownership"):
        pack(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FleetError, match="git is not installed"):
        pack(tmp_path)


FULL = "echo 'File Blocks Used Free'; echo 'x 9 9 1024'"


@pytest.mark.parametrize(
    ("alive", "fired", "stops", "ends"),
    [
        (True, False, True, "the dead-man of before ends the job and the rent in 2 h"),
        (True, False, False, "the dead-man of before ends the job, not the rent, in 2 h"),
        (True, True, True, "the dead-man of before, whose time was up, goes on to end the rent"),
        (True, True, False, "nothing ends this box's rent but you"),
        (False, True, True, "nothing ends this box's rent but you"),
        (False, False, True, "nothing ends this box's rent but you"),
    ],
)
def test_what_ends_the_rent_of_a_box_whose_dead_man_is_left(
    alive: bool, fired: bool, stops: bool, ends: str
) -> None:
    left = deadman.DeadmanStatus(
        left_s=7200.0,
        alive=alive,
        stops_instance=stops,
        fired=deadman.Fired(at=0.0, job=None, stop_exit_code=0) if fired else None,
    )
    assert up._ends(left).startswith(ends)


def hours_left(box: LocalBox) -> float:
    known = deadman.status(box.folder.deadman)
    assert known is not None
    assert known.alive
    return known.left_s / 3600


def test_box_whose_disk_the_environment_has_filled_is_set_up_again(local_box: LocalBox) -> None:
    assert "ready: " in local_box.up(max_hours=1.0)
    local_box.put("df", FULL)
    assert "ready: " in local_box.up(max_hours=2.0)
    assert hours_left(local_box) > 1.9
    assert (local_box.folder.code / "made").read_text() == "made\n"  # a new tree, with the .venv


def test_bare_box_with_a_full_disk_is_refused(local_box: LocalBox) -> None:
    local_box.put("df", FULL)
    with pytest.raises(HostError, match=r"has 0\.0 GiB of disk left"):
        local_box.up()
    assert not local_box.folder.path.exists()


@pytest.mark.parametrize("is_set_up", [False, True])
def test_box_whose_shell_prints_by_itself_is_refused_before_anything_is_sent(
    is_set_up: bool, local_box: LocalBox
) -> None:
    if is_set_up:
        local_box.up()
    local_box.greet("Welcome to box 4711!")  # as a ~/.bashrc does that asks for no terminal
    told = "a: its shell prints 'Welcome to box 4711!' also where no terminal is, .*bashrc"
    with pytest.raises(HostError, match=told):
        local_box.up(max_hours=1.0)
    assert local_box.folder.path.exists() is is_set_up
    assert not local_box.folder.deadman.armed.exists()


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize(
    "names",
    [
        ("code/train.py",),
        ("code/cluster/box/mine.py",),  # a checkout of this repository, which is a person's own
        ("jobs/mine",),
        ("python",),
        ("notes", "code.new/mine"),
    ],
)
def test_folder_that_a_person_uses_stays_as_it_is(
    names: tuple[str, ...], local_box: LocalBox
) -> None:
    folder = local_box.folder.path
    put(folder, *names)
    folder.chmod(0o755)
    first = names[0].partition("/")[0]
    told = f"a: the folder rl-tuner-fleet is not the fleet's alone, {first} is in it: nothing .*"
    with pytest.raises(HostError, match=told + 'folder = "rl-tuner-fleet/rl-tuner"'):
        local_box.up()
    assert folder.stat().st_mode & 0o777 == 0o755
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(names)


@pytest.mark.parametrize("names", [(), ("code.new/half",), ("lock", "code.new/half")])
def test_folder_that_is_empty_or_in_the_making_is_taken(
    names: tuple[str, ...], local_box: LocalBox
) -> None:
    local_box.folder.path.mkdir()
    put(local_box.folder.path, *names)
    assert "ready: " in local_box.up()
    assert local_box.folder.path.stat().st_mode & 0o777 == 0o700


def test_box_whose_swap_broke_off_is_set_up_again(local_box: LocalBox) -> None:
    local_box.up()
    local_box.folder.code.rename(local_box.folder.path / "code.old")
    assert "ready: " in local_box.up()


def test_removed_is_what_the_fleet_has_made(local_box: LocalBox, tmp_path: Path) -> None:
    folder, sent = local_box.folder.path, tmp_path / "bars.csv"
    sent.write_text("bars")
    for mine in ("", "mine/train.py"):
        local_box.up(max_hours=None if mine else 1.0)
        send.send(local_box.remote, send.pack([sent]))
        local_box.start("true")
        wait_for(local_box.folder.job("j1").exit.exists)
        put(folder, *filter(None, [mine]))
        told = local_box.remote.ask("remove")["removed"]
        if not mine:
            assert told == str(folder)
            assert not folder.exists()
    assert told == f"{folder}, but not what is not the fleet's there: mine"
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / mine]


def test_deadline_is_moved_though_the_box_is_refused(local_box: LocalBox) -> None:
    local_box.up(max_hours=1.0)
    local_box.put("nvidia-smi", "echo 'Driver/library version mismatch'; exit 18")
    with pytest.raises(HostError, match="the GPU is not usable"):
        local_box.up(max_hours=2.0)
    assert hours_left(local_box) > 1.9


def test_deadline_that_holds_is_told_without_hours(local_box: LocalBox) -> None:
    assert "so nothing ends this box's rent but you." in local_box.up()
    local_box.up(max_hours=1.0)
    said = local_box.up()
    ends = r"no --max-hours, so the dead-man of before ends the job, not the rent, in 5\d min"
    assert re.search(ends, said)
    assert "nothing ends" not in said
    assert 0.9 < hours_left(local_box) < 1.0


@pytest.mark.parametrize("fault", ["echo Killed >&2; exit 137", "echo '{\"job\": '"])
def test_code_stays_under_a_search_where_the_status_fails(fault: str, local_box: LocalBox) -> None:
    local_box.up()
    local_box.start("sleep 600")
    before = local_box.folder.code.stat().st_ino
    local_box.folder.python.write_text(str(local_box.put("python-that-fails", fault)))
    with pytest.raises(HostError, match=r"a: does not tell if a search runs .* its code stays"):
        local_box.up()
    assert local_box.folder.code.stat().st_ino == before
    assert local_box.folder.ready.exists()
    local_box.folder.python.write_text(sys.executable)
    assert "runs the job j1" in local_box.up()


def test_box_whose_interpreter_is_gone_is_bare(local_box: LocalBox) -> None:
    local_box.up()
    local_box.folder.python.write_text("/of/the/image/before")
    assert "ready: " in local_box.up()
