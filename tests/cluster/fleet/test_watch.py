"""A watch goes on while a search may run, whatever a box or the laptop lacks for a moment."""

import dataclasses
import sys
from pathlib import Path

import pytest

from cluster.fleet import finish, status, submit, watch
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.status import HostStatus
from local_box import LocalBox


def watched(box: LocalBox, out: Path, *, lost_after_s: float = 600.0) -> HostStatus:
    [one] = watch.watch(
        [box.remote],
        is_whole=True,
        prices=Prices(),
        out=out,
        every_s=0.01,
        lost_after_s=lost_after_s,
        dashboard=False,
    )
    return one


def fail_twice(box: LocalBox, fault: str) -> None:
    """Have the box's interpreter fail twice, and let the job end when it runs again."""
    counted = f"cd {box.home}; echo >> calls; if [ $(wc -l < calls) -lt 3 ]; then {fault}; fi"
    script = f'({counted}) || exit $?; touch {box.home}/go; exec {sys.executable} "$@"'
    box.folder.python.write_text(str(box.put("python-that-fails", script)))


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[", "no URL"])
def test_dashboard_that_can_be_none_ends_no_watch(url: str, local_box: LocalBox) -> None:
    local_box.up()
    local_box.start("sleep 600")
    seen = status.read(local_box.remote)
    assert seen.answer is not None
    assert seen.answer.job is not None
    job = dataclasses.replace(seen.answer.job, dashboard_url=url)
    told = dataclasses.replace(seen, answer=dataclasses.replace(seen.answer, job=job))
    assert watch.Tunnels().follow(local_box.remote, told) is None


@pytest.mark.parametrize("fault", ["exit 137", "echo Cannot fork >&2; exit 2"])
def test_status_that_fails_is_no_end(fault: str, local_box: LocalBox, tmp_path: Path) -> None:
    local_box.up()
    local_box.start(f"until [ -e {local_box.home}/go ]; do sleep 0.05; done")
    fail_twice(local_box, fault)
    one = watched(local_box, tmp_path / "out")
    assert (one.state, one.problem) == ("done", None)
    assert (tmp_path / "out" / "a" / "j1" / "job.json").exists()


def test_key_that_is_not_let_in_for_a_moment_is_no_end(local_box: LocalBox, tmp_path: Path) -> None:
    """Vast's proxies greet with "If authentication fails, try again after a few seconds"."""
    local_box.up()
    local_box.start(f"until [ -e {local_box.home}/go ]; do sleep 0.05; done")
    assert status.read(local_box.remote).is_running
    denied = "echo 'root@x: Permission denied (publickey).' >&2; exit 255"
    ssh = local_box.home.parent / "programs" / "ssh"
    kept = ssh.rename(ssh.with_name("kept"))
    looks = f"echo >> looks; [ $(wc -l < looks) -lt 3 ] || {{ touch go; mv {kept} {ssh}; }}"
    local_box.put("ssh", f"cd {local_box.home}; {looks}; {denied}")
    one = watched(local_box, tmp_path / "out")
    assert (one.state, one.problem) == ("done", None)


def test_box_that_fails_for_long_is_given_up(local_box: LocalBox, tmp_path: Path) -> None:
    local_box.up()
    local_box.folder.python.write_text(str(local_box.put("python-that-fails", "exit 137")))
    one = watched(local_box, tmp_path / "out", lost_after_s=0.0)
    assert "exit code 137" in str(one.problem)
    [told] = watch.losses([one], tmp_path / "out")
    assert "a  node lost" in told


@pytest.mark.parametrize("again", ["out", "elsewhere"])
def test_box_that_is_gone_with_all_its_results_here_is_no_loss(
    again: str, local_box: LocalBox, tmp_path: Path
) -> None:
    local_box.up()
    local_box.start("true")
    assert finish.has_profile(watched(local_box, tmp_path / "out"), tmp_path / "out")
    local_box.put("ssh", "exit 255")  # its rent has ended, and another box is watched on
    one = watched(local_box, tmp_path / again, lost_after_s=0.0)
    assert one.state == "unreachable"
    is_here = again == "out"
    assert finish.has_profile(one, tmp_path / again) is is_here
    assert len(watch.losses([one], tmp_path / again)) == (0 if is_here else 1)


@pytest.mark.parametrize("since", ["another search", "another box of its name"])
def test_box_that_is_lost_before_it_was_seen_again_is_a_loss(
    since: str, local_box: LocalBox, tmp_path: Path
) -> None:
    local_box.up()
    local_box.start("true")
    assert watched(local_box, tmp_path / "out").succeeded
    if since == "another search":
        submit.start(local_box.remote, name="j2", words=["sh", "-c", "sleep 600"])
    else:  # and the address in the hosts file is another
        connection = local_box.remote.connection
        host = dataclasses.replace(connection.host, address="y")
        local_box.remote = RemoteBox.of(host, connection.state)
    local_box.put("ssh", "exit 255")
    one = watched(local_box, tmp_path / "out", lost_after_s=0.0)
    assert not finish.has_profile(one, tmp_path / "out")
    assert len(watch.losses([one], tmp_path / "out")) == 1


def test_box_that_is_not_set_up_is_not_waited_for(local_box: LocalBox, tmp_path: Path) -> None:
    one = watched(local_box, tmp_path / "out")
    assert one.problem == "a: is not set up: run `up` first."
    assert watch.losses([one], tmp_path / "out") == []


def test_results_that_cannot_be_kept_here_are_their_boxs_problem(
    local_box: LocalBox, tmp_path: Path
) -> None:
    local_box.up()
    (tmp_path / "out").write_text("a file")
    one = watched(local_box, tmp_path / "out", lost_after_s=0.0)
    assert one.problem is not None
    assert one.problem.startswith("a: this machine fails: ")
    assert str(tmp_path / "out") in one.problem
    [told] = watch.losses([one], tmp_path / "out")
    assert "node lost" not in told  # nor is its search to be begun elsewhere
    assert told.startswith("a  this machine fails: ")
    assert "its search may go on there: mend this, and `watch` again." in told
