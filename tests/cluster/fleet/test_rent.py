"""The end of a rent: only where a search is over and all of it is here; and what is told of it."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from box_jobs import wait_for
from cluster.box.bundle import LARGEST_BYTES, TOO_LARGE
from cluster.box.folder import BoxFolder
from cluster.errors import FleetError
from cluster.fleet import __main__ as fleet
from cluster.fleet import rent, status, status_view, watch
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder
from cluster.fleet.status import HostStatus
from cluster.node import processes
from cluster.node.atomic import read_json
from host_states import DEADMAN, HOST, ended, fired, on
from local_box import LocalBox
from places import ROOT

GONE_S = rent._GONE_S


@pytest.fixture(autouse=True)
def _soon_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rent, "_GONE_S", 0.1)


def with_stop_command(box: LocalBox, script: str) -> RemoteBox:
    """The box whose stop command is this script of sh."""
    connection = box.remote.connection
    host = dataclasses.replace(connection.host, stop_command=("sh", "-c", script))
    box.remote = RemoteBox.of(host, connection.state)
    return box.remote


def going(box: LocalBox) -> str:
    """A script of sh that takes the box away: no ssh gets through any more."""
    gone = box.put("gone", "exit 255")
    return f"mv {gone} {gone.with_name('ssh')}"


def before_each_order(box: LocalBox, fault: str) -> Path:
    """Have the box do `fault` before each order to end its rent; return what counts them."""
    count = box.home / "orders"
    script = (
        f'if [ "$3" = end_rent ]; then echo >> {count}; {fault}; fi; exec {sys.executable} "$@"'
    )
    box.folder.python.write_text(str(box.put("python-that-fails", script)))
    return count


def watched(
    box: RemoteBox, out: Path, *, lost_after_s: float = 600.0, is_whole: bool = True
) -> HostStatus:
    [one] = watch.watch(
        [box],
        is_whole=is_whole,
        prices=Prices(),
        out=out,
        every_s=0.01,
        lost_after_s=lost_after_s,
        dashboard=False,
        end_rent=True,
    )
    return one


@pytest.mark.parametrize(
    ("script", "ends", "told", "money"),
    [
        ("{going}", True, "it answers no more.", "a was asked to end its rent"),
        # `vastai` says that its key is wrong, and exits with 0.
        ("true", False, "STILL PAID: its stop command ran, and the box still answers.", "a is up"),
        ("exit 7", False, "STILL PAID: its stop command fails with exit code 7", "a is up"),
        # The provider takes a while.
        ("(sleep 1.5; {going}) &", True, "it answers no more.", "a was asked to end its rent"),
    ],
    ids=["the box is away", "ran, and the box is there", "failed", "the box is away later"],
)
def test_a_box_ends_its_rent_once_its_search_is_over_and_its_results_are_here(
    script: str,
    ends: bool,
    told: str,
    money: str,
    local_box: LocalBox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rent, "_STOPPING_S", 60.0 if ends else 5.0)
    stopped = tmp_path / "stopped"
    script = script.format(going=going(local_box))
    box = with_stop_command(local_box, f"touch {stopped}; {script}")
    local_box.up()
    local_box.start(f"sleep 0.3; test ! -e {stopped}")
    one = watched(box, tmp_path / "out")
    assert stopped.exists()
    assert one.ends_rent is ends
    assert told in capsys.readouterr().out
    assert status_view.money([one], Prices())[0].startswith(money)
    assert (tmp_path / "out" / "a" / "j1" / "exit.json").exists()
    assert (one.state, one.problem) == ("done", None)


def test_a_network_that_stumbles_ends_no_rent(
    local_box: LocalBox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rent, "_GONE_S", 60.0)
    looks = tmp_path / "looks"
    gone = local_box.put("gone", f"echo >> {looks}; exit 255")
    ssh, kept = gone.with_name("ssh"), gone.with_name("kept")
    twice = f"until [ -e {looks} ] && [ $(wc -l < {looks}) -ge 2 ]; do sleep 0.05; done"
    script = f"cp {ssh} {kept}; mv {gone} {ssh}; {twice}; mv {kept} {ssh}; exit 7"
    box = with_stop_command(local_box, script)
    local_box.up()
    local_box.start("true")
    assert not watched(box, tmp_path / "out").ends_rent
    assert len(looks.read_text()) >= 2
    assert "STILL PAID: its stop command fails with exit code 7" in capsys.readouterr().out


def test_a_rent_goes_on_while_a_search_runs_or_something_of_it_is_only_there(
    local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, f"touch {tmp_path}/stopped; {going(local_box)}")
    local_box.up()
    local_box.start("sleep 60")
    refused = rent.end(box, status.read(box))
    assert not refused.ends
    assert "its rent goes on: runs the job j1" in refused.text
    local_box.end()
    run = local_box.folder.job("j1").run
    for name in ("a.ckpt", "b.ckpt"):
        run.mkdir(exist_ok=True)
        with (run / name).open("wb") as file:
            file.truncate(LARGEST_BYTES + 1)
    kept = rent.end(box, status.read(box))
    assert not kept.ends
    assert f"its rent goes on: {run / 'a.ckpt'} (and 1 more) is only on the box: copy" in kept.text
    assert not (tmp_path / "stopped").exists()
    for path in run.iterdir():  # a person has copied and removed them
        path.unlink()
    outputs = run / "trials" / "outputs"
    (outputs / "trial-x").mkdir(parents=True)
    (outputs / "trial-x" / "kept.ckpt").touch()  # by --keep-outputs
    kept = rent.end(box, status.read(box))
    assert not kept.ends
    assert f"its rent goes on: {outputs} is only on the box: copy it by scp -r" in kept.text
    assert not (tmp_path / "stopped").exists()
    shutil.rmtree(outputs)
    assert rent.end(box, status.read(box)).ends
    assert (tmp_path / "stopped").exists()


def test_what_an_earlier_box_of_that_name_held_back_keeps_no_rent(
    local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    local_box.start("true")
    earlier = tmp_path / "out" / "a" / "j0"
    earlier.mkdir(parents=True)
    (earlier / TOO_LARGE).write_text("run/trials/checkpoint\n")
    assert watched(box, tmp_path / "out").ends_rent


def test_a_stop_command_that_does_not_end_is_no_end_of_the_rent(
    local_box: LocalBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rent, "_STOPPING_S", 0.5)
    box = with_stop_command(local_box, "sleep 5")
    local_box.up()
    local_box.start("true")
    assert not watched(box, tmp_path / "out").ends_rent


def test_a_box_that_refuses_is_asked_again_and_told_of_once(
    local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    local_box.start("sleep 60")  # since the last look, by another laptop
    rents, last = rent.Rents(600.0), [on("a", ended(0))]
    assert len(rents.end_due([box], last)) == 1
    assert rents.end_due([box], last) == []
    assert not rents.ended
    local_box.end()
    its_end = read_json(local_box.folder.job("j1").exit) | {"reason": "ended"}
    last = [on("a", ended(0) | {"exit": its_end})]
    assert rents.end_due([box], last) == [
        "a  its search is over and its results are here: it answers no more."
    ]
    assert rents.ended["a"].ends_rent


@pytest.mark.parametrize("max_hours", [None, 1.0])
def test_a_full_disk_keeps_no_rent(
    max_hours: float | None, local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, f"touch {tmp_path}/by-$PPID; {going(local_box)}")
    local_box.up(max_hours=max_hours)
    local_box.start("true")
    wait_for(local_box.folder.job("j1").exit.exists)
    # No process of the box can write a byte any more, and files without any can still be made.
    script = f'ulimit -f 0; exec {sys.executable} "$@"'
    local_box.folder.python.write_text(str(local_box.put("python-without-room", script)))
    assert rent.end(box, status.read(box)).ends
    [ran] = tmp_path.glob("by-*")
    os.kill(int(ran.name.removeprefix("by-")), signal.SIGKILL)  # no file tells of it


@pytest.mark.parametrize("code", [137, 255], ids=["killed there", "no link"])
def test_an_order_that_fails_is_given_again(
    code: int, local_box: LocalBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    local_box.start("true")
    orders = before_each_order(
        local_box, f"[ $(wc -l < {local_box.home}/orders) -gt 2 ] || exit {code}"
    )
    assert watched(box, tmp_path / "out").ends_rent
    assert orders.read_text() == "\n" * 3
    assert capsys.readouterr().out.count("a  its rent goes on: ") == 1


def test_an_order_that_fails_for_long_is_given_up(
    local_box: LocalBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = with_stop_command(local_box, f"touch {tmp_path}/stopped")
    local_box.up()
    local_box.start("true")
    orders = before_each_order(local_box, "exit 137")
    assert not watched(box, tmp_path / "out", lost_after_s=1.0).ends_rent
    assert len(orders.read_text()) > 1
    assert "a  its rent goes on: failed with exit code 137" in capsys.readouterr().out
    assert not (tmp_path / "stopped").exists()


def test_a_box_that_keeps_its_rent_for_a_reason_is_not_waited_for(
    local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, f"touch {tmp_path}/stopped")
    local_box.up()
    outputs = local_box.folder.job("j1").run / "trials" / "outputs"
    local_box.start(f"mkdir -p {outputs}; touch {outputs}/kept.ckpt")
    orders = before_each_order(local_box, ":")
    assert not watched(box, tmp_path / "out").ends_rent
    assert orders.read_text() == "\n"


def test_a_job_that_starts_before_the_order_comes_is_waited_for(
    local_box: LocalBox, tmp_path: Path
) -> None:
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    local_box.start("true")
    request = tmp_path / "request.json"  # of another laptop
    request.write_text(
        json.dumps({"name": "j2", "words": ["sh", "-c", "sleep 2"], "resume": False})
    )
    start = f"{sys.executable} -m cluster.box start < {request} >&2"
    before_each_order(local_box, f"[ -e {local_box.folder.job('j2').path} ] || {start}")
    one = watched(box, tmp_path / "out")
    assert one.job is not None
    assert (one.job.name, one.ends_rent) == ("j2", True)
    assert (tmp_path / "out" / "a" / "j2" / "exit.json").exists()


def test_a_job_that_ends_before_the_order_comes_is_brought_home_first(
    local_box: LocalBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the look and the order lie the pulls of all other boxes."""
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    local_box.start("true")
    job = local_box.folder.job("j2")
    request = tmp_path / "request.json"  # of another laptop
    request.write_text(json.dumps({"name": "j2", "words": ["true"], "resume": False}))
    run = f"{sys.executable} -m cluster.box start < {request} >&2"
    run += f"; until [ -e {job.exit} ]; do sleep 0.05; done"
    before_each_order(local_box, f"[ -e {job.path} ] || {{ {run}; }}")
    assert watched(box, tmp_path / "out").ends_rent
    assert (tmp_path / "out" / "a" / "j2" / "exit.json").exists()
    assert "its rent goes on: has run another job meanwhile" in capsys.readouterr().out


def test_a_link_that_is_cut_for_half_a_minute_ends_no_rent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rent, "_GONE_S", GONE_S)
    clock = [0.0]  # seconds

    def read(box: RemoteBox) -> HostStatus:
        clock[0] += 1.0
        if clock[0] < 30:
            return on("a", None, problem="a: cannot be reached", reachable=False)
        return on("a", None, deadman=DEADMAN | {"fired": fired(7)})

    monkeypatch.setattr(status, "read", read)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    box = RemoteBox.of(HOST, StateFolder(Path("/nowhere")))
    assert "STILL PAID: its stop command fails with exit code 7" in rent._watched(box).text


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_rent_ends_though_nobody_reads_what_is_told_of_it(
    kind: str, local_box: LocalBox, tmp_path: Path
) -> None:
    stop_command = f"touch {tmp_path}/stopped; {going(local_box)}"
    hosts = f'[hosts.a]\naddress = "x"\nstop_command = ["sh", "-c", "{stop_command}"]\n'
    (tmp_path / "h.toml").write_text(hosts)
    local_box.up()
    profiles = local_box.folder.job("j1").profiles
    news = f"mkdir {profiles}; touch {profiles}/p.yaml; sleep 3"
    local_box.start(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; {news}")
    reader, writer = os.openpty() if kind == "terminal" else os.pipe()
    options = f"--hosts {tmp_path}/h.toml --out {tmp_path}/out --every 0.2 --end-rent".split()
    with subprocess.Popen(
        [sys.executable, "-m", "cluster.fleet", "watch", *options],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watching:
        os.close(writer)
        assert os.read(reader, 1)  # it has looked
        os.close(reader)
        (tmp_path / "go").touch()  # what it tells next is lost
        wait_for((tmp_path / "stopped").exists)
        watching.kill()


def test_a_box_without_a_stop_command_is_named_before_the_watch_begins(
    local_box: LocalBox, tmp_path: Path
) -> None:
    with pytest.raises(FleetError, match="--end-rent: the hosts file has no stop_command for a, "):
        watched(local_box.remote, tmp_path / "out")


@pytest.mark.parametrize(("script", "code"), [("{going}", 0), ("exit 7", 1)])
def test_the_exit_code_says_whether_all_rents_end(
    script: str,
    code: int,
    local_box: LocalBox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hosts = tmp_path / "h.toml"
    script = script.format(going=going(local_box))
    hosts.write_text(f'[hosts.a]\naddress = "x"\nstop_command = ["sh", "-c", "{script}"]\n')
    local_box.up()
    local_box.start("true")
    command = ["watch", "--hosts", str(hosts), "--out", str(tmp_path / "out"), "--end-rent"]
    assert fleet.main(command) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("a was asked to end its rent" if code == 0 else "a is up")
    hosts.write_text('[hosts.a]\naddress = "x"\n')
    assert fleet.main(command) == 2
    assert "has no stop_command for a, which a box" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "script", "is_whole", "ends", "told"),
    [
        (None, "exit 1", True, True, "it answers no more."),
        (1, "exit 3", True, True, "no part has left a journal"),
        (1, "exit 3", False, False, "a  its rent goes on: the search that it has a part of may"),
    ],
    ids=["finals without a result", "parts without a journal", "a part elsewhere"],
)
def test_a_shared_search_that_has_no_profile_is_paid_no_longer(
    number: int | None,
    script: str,
    is_whole: bool,
    ends: bool,
    told: str,
    local_box: LocalBox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = with_stop_command(local_box, going(local_box))
    local_box.up()
    part = {"name": "j1", "machine_class": "gpu", "number": number, "count": 2}
    words = ["sh", "-c", script]
    box.ask("start", {"name": "j1", "words": words, "resume": False, "split": part})
    assert watched(box, tmp_path / "out", is_whole=is_whole).ends_rent is ends
    assert told in capsys.readouterr().out


def test_a_box_that_has_ended_its_rent_is_asked_to_finish_no_search(
    local_box: LocalBox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rent, "_STOPPING_S", 5.0)  # b stays
    state, boxes = local_box.remote.connection.state, []
    reach_b = 'case "$last" in *rl-tuner-fleet*) exit 255;; esac; exec sh -c "$last"'
    gone = local_box.put("gone", f"cd {local_box.home}; for last; do :; done; {reach_b}")
    for number, (name, folder) in enumerate([("b", "fleet-b"), ("a", "rl-tuner-fleet")], start=1):
        host = dataclasses.replace(HOST, name=name, folder=folder)
        stop_command = ("sh", "-c", f"mv {gone} {gone.with_name('ssh')}; touch {tmp_path}/{name}")
        local_box.remote = RemoteBox.of(dataclasses.replace(host, stop_command=stop_command), state)
        local_box.up()
        # No box takes the finals, as there is a job of that name.
        job = local_box.home / folder / "jobs" / "j1"
        script = f"mkdir -p {job}/run {job}-finals; touch {job}/run/journal.log"
        words = ["sh", "-c", f"{script}; echo '{{}}' > {job}-finals/job.json"]
        part = {"name": "j1", "machine_class": "gpu", "number": number, "count": 2}
        request = {"name": "j1", "words": words, "resume": False, "split": part}
        local_box.remote.ask("start", request)
        boxes.append(local_box.remote)
    calls = local_box.home / "calls"
    script = f'if [ "$3" = end_rent ]; then echo >> {calls}; [ $(wc -l < {calls}) -gt 1 ] || exit 9'
    python = local_box.put("python-that-fails", f'{script}; fi; exec {sys.executable} "$@"')
    (local_box.home / "fleet-b" / "python").write_text(str(python))
    watch.watch(
        boxes,
        is_whole=True,
        prices=Prices(),
        out=tmp_path / "out",
        every_s=0.01,
        lost_after_s=600.0,
        dashboard=False,
        end_rent=True,
    )
    processes.kill(BoxFolder(local_box.home / "fleet-b").deadman.process)
    said = capsys.readouterr().out
    assert "b  its rent goes on: failed with exit code 9" in said
    assert said.count("a  its search is over and its results are here: it answers no more.") == 1
    assert "a: cannot be reached" not in said
    assert (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()
