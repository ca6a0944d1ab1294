"""The fleet on one machine: a laptop and boxes in network namespaces, each box with its own sshd.

The searches pretend (fake_search.py), and all else is as it will be; test_fleet_split_story.py
runs a real one.
"""

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from netns_hosts import Box, Lab, Machine, lab, wait_for
from subprocesses import read_until

pytestmark = [pytest.mark.slow, pytest.mark.seconds(180), pytest.mark.timeout(1500)]

FAKE = ("--", "python", "tests/support/fake_search.py")
UP = ("up", "--accept-new", "--python", sys.executable)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as built:
        yield built


def two_boxes(fleet: Lab, *, a: str = "", b: str = "") -> tuple[Box, Box]:
    boxes = fleet.add_box("a", cpus="0"), fleet.add_box("b")
    fleet.write_hosts(a=a, b=b)
    return boxes


def job_folder(box: Box, folder: str = "rl-tuner-fleet") -> Path:
    (found,) = (box.home / folder / "jobs").glob("search-*")
    return found


def has_trials(box: Box, least: int) -> bool:
    journals = list(box.home.glob("rl-tuner-fleet/jobs/*/run/journal.log"))
    return bool(journals) and len(journals[0].read_text().splitlines()) >= least


def test_two_rented_boxes_lead_to_the_sentence_that_says_which_to_rent(fleet: Lab) -> None:
    a, b = two_boxes(
        fleet, a='provider = "runpod"\nid = "pod1"', b='provider = "vast"\nid = "4711"'
    )
    told = fleet.fleet(*UP).stdout
    assert "a  ready: " in told
    assert "b  ready: " in told
    assert re.search(r"b  preflight: Fit\. ", told)
    slow = ("--machine-class", "nvidia-rtx-4000-20gb", "--speed", "30000")
    quick = ("--machine-class", "nvidia-rtx-4090-24gb", "--speed", "90000")
    fleet.fleet("submit", "--only", "a", *FAKE, *slow)
    fleet.fleet("submit", "--only", "b", *FAKE, *quick)
    watched = fleet.fleet("watch", "--every", "0.5", "-o", "profiles").stdout
    assert "a  class: " in watched
    assert watched.count("state: done") == 2
    assert "To stop paying: runpodctl remove pod pod1" in watched
    again = fleet.fleet("pull", "-o", "profiles").stdout
    assert "a  pulled 0 files" in again

    told = fleet.fleet(
        "report", "-o", "profiles", "--price", "rtx-4000=0.20", "rtx-4090=0.50"
    ).stdout
    assert (
        "Rent this one: nvidia-rtx-4090-24gb at $0.50 an hour, 648 M env steps per dollar, "
        "1.20 times those of nvidia-rtx-4000-20gb." in told
    )
    best = fleet.folder / "profiles" / "nvidia-rtx-4090-24gb-fake-fastest.yaml"
    assert yaml.safe_load(best.read_text())["expected_sps"] == 90_000

    for box in (a, b):
        mine = box.home / "rl-tuner-fleet"
        assert stat.S_IMODE(mine.stat().st_mode) == 0o700
        for path in (*mine.glob("*.json"), *job_folder(box).glob("*.*")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    told = fleet.fleet("down", "--remove").stdout
    assert "  runpodctl remove pod pod1\n  vastai destroy instance 4711\n" in told
    assert not (a.home / "rl-tuner-fleet").exists()


def test_status_of_a_running_search_says_what_it_does_and_what_it_costs(fleet: Lab) -> None:
    fleet.add_box("a")
    fleet.write_hosts(a="price_per_hour = 3600")
    fleet.fleet(*UP, "--max-hours", "0.5")
    fleet.fleet("submit", *FAKE, "--trials", "1000", "--max-time-s", "600")
    wait_for(lambda: has_trials(fleet.boxes["a"], 2), "two trials")
    (row,) = json.loads(fleet.fleet("status", "--json").stdout)
    assert row["state"] == "running"
    assert row["answer"]["job"]["num_trials"] >= 2
    assert 1.0 < row["cost_dollars"] < 120.0  # a dollar a second since the box began
    told = fleet.fleet("status").stdout
    assert "state: running; doing: search, measure; trials: " in told
    assert "time left: at most 9 min" in told
    assert "a is up ($3600.00 an hour). To stop paying: destroy a (" in told

    refused = fleet.fleet("submit", *FAKE, code=1).stdout
    assert re.search("a  REFUSED: already runs the job search-.*: wait, or end it", refused)
    told = fleet.fleet(*UP, "--max-hours", "0.099").stdout  # moves the dead-man, and nothing else
    assert "runs the job" in told
    assert "time left: at most 5 min" in fleet.fleet("status").stdout
    assert re.search("a  ended the job search-", fleet.fleet("down").stdout)
    assert fleet.boxes["a"].processes("sleep 1000") == []
    assert "state: stopped" in fleet.fleet("status").stdout
    (partial,) = fleet.folder.glob("profiles/a/*/profiles/*.yaml")
    assert yaml.safe_load(partial.read_text())["partial"] is True


def test_lost_box_costs_the_trial_that_ran_and_another_goes_on_with_its_search(fleet: Lab) -> None:
    a, b = two_boxes(fleet)
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "8", "--trial-s", "2")
    watch = fleet.open_fleet("watch", "--every", "0.2", "--lost-after", "3")
    wait_for(lambda: has_trials(a, 4), "four trials")
    wait_for(lambda: _pulled_trials(fleet, "a") >= 3, "pulled trials")
    a.lose()
    told, _ = watch.communicate(timeout=60)
    assert watch.returncode == 1, told
    assert "state: unreachable" in told
    assert "last seen" in told
    assert "node lost: its results until then are in profiles/a" in told
    assert "a may be up, though it cannot be reached" in told
    known = _pulled_trials(fleet, "a")
    assert known >= 3
    (pulled,) = (fleet.folder / "profiles" / "a").glob("search-*")
    fleet.fleet("submit", "--only", "b", "--take-over", str(pulled.relative_to(fleet.folder)))
    fleet.fleet("watch", "--only", "b", "--every", "0.5")
    numbers = [
        json.loads(line)["number"]
        for line in (b.home / "rl-tuner-fleet/jobs" / f"{pulled.name}-from-a" / "run/journal.log")
        .read_text()
        .splitlines()
    ]
    assert numbers == list(range(8))


def test_link_cut_for_20_s_is_survived_by_the_search_and_by_watch(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "60", "--trial-s", "1")
    watch = fleet.open_fleet("watch", "--every", "0.5", "--lost-after", "60")
    read_until(watch, "state: running")
    wait_for(lambda: has_trials(box, 2), "two trials")
    fleet.laptop.cut()
    read_until(watch, "state: unreachable")  # not before 15 s of silence
    time.sleep(5)
    fleet.laptop.mend()
    read_until(watch, "state: running")
    told, _ = watch.communicate(timeout=500)
    assert watch.returncode == 0, told
    assert "state: done" in told
    assert _pulled_trials(fleet, "a") == 60


def test_search_ends_well_after_the_laptop_was_lost_for_good(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "6", "--trial-s", "0.5")
    fleet.laptop.lose()
    ended = wait_for(lambda: list(box.home.glob("*/jobs/*/exit.json")), "an end")
    assert json.loads(ended[0].read_text())["exit_code"] == 0
    assert list(box.home.glob("*/jobs/*/profiles/*.yaml"))
    assert box.processes("sleep 1000") == []


def test_deadman_ends_the_search_and_the_rent_though_no_laptop_is_left(fleet: Lab) -> None:
    stop = 'stop_command = ["sh", "-c", "echo $CONTAINER_ID > /mnt/stopped"]'
    box = fleet.add_box("a")
    fleet.write_hosts(a=stop)
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "1000", "--trial-s", "0.2")
    wait_for(lambda: has_trials(box, 1), "a trial")
    told = fleet.fleet(*UP, "--max-hours", "0.002").stdout
    assert "dead-man armed: ends the job in 7 s, then runs sh -c" in told
    fleet.laptop.cut()
    stopped = box.home / "stopped"
    wait_for(stopped.exists, "the stop command")
    assert stopped.read_text() == "4711\n"  # known from the container's own environment
    assert box.processes("sleep 1000") == []
    assert box.processes("fake_search") == []
    fleet.laptop.mend()
    told = wait_for(lambda: fleet.fleet("status", code=None).stdout, "a status")
    assert "state: deadline" in told
    assert "its stop command ran, and the box still answers: still paid" in told
    fleet.fleet("pull")
    assert list(fleet.folder.glob("profiles/a/*/profiles/*.yaml"))


def test_stop_command_that_fails_is_told(fleet: Lab) -> None:
    fleet.add_box("a")
    fleet.write_hosts(a='stop_command = ["no-such-tool"]')
    refused = fleet.fleet(*UP, "--max-hours", "0.0003", code=1).stdout
    assert "a  REFUSED: stop command: there is no program 'no-such-tool' on this machine" in refused
    fleet.write_hosts(a='stop_command = ["false"]')
    fleet.fleet(*UP, "--max-hours", "0.0003")

    def told() -> bool:
        return "still paid" in fleet.fleet("status").stdout

    wait_for(told, "the failure")


def test_other_host_key_than_the_pinned_one_is_refused(fleet: Lab) -> None:
    a, b = two_boxes(fleet)
    fleet.write_hosts(a=f'host_key = "{b.host_key}"', b=f'host_key = "{b.host_key}"')
    told = fleet.fleet(*UP, code=1).stdout
    assert "a  REFUSED: " in told
    assert "nothing was sent" in told
    assert "b  ready: " in told
    assert not (a.home / "rl-tuner-fleet").exists()


def test_host_key_that_changed_since_the_first_use_is_refused(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    assert "has no pinned key yet" in fleet.fleet("up", code=1).stdout
    fleet.fleet(*UP)
    box.lose()
    for name in ("hostkey", "hostkey.pub"):
        (box.home / name).unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", box.home / "hostkey"], check=True
    )
    fleet.laptop.lose()  # with the connection that it shared
    fleet.laptop.start(["sleep", "infinity"])
    box.boot()
    told = fleet.fleet(*UP, code=1).stdout
    assert "its host key is not the pinned one" in told
    assert "a.known_hosts" in told
    assert "problem" in fleet.fleet("status", code=None).stdout


def test_hostile_words_and_folders_arrive_as_they_are_and_run_nothing(fleet: Lab) -> None:
    box = fleet.add_box("a")
    folder = "fleet of 'Ann'; $(touch pwned) `touch pwned` & ü \\\\ %h -rf"
    fleet.write_hosts(a=f'folder = "{folder}"')
    on_disk = folder.replace("\\\\", "\\")  # TOML's own escape
    fleet.fleet(*UP)
    words = ("'; touch pwned; '", "$(touch pwned)", "`touch pwned`", "-o x", "*", "a\nb", "é", "~")
    fleet.fleet("submit", *FAKE, "--", *words)
    assert json.loads((job_folder(box, on_disk) / "job.json").read_text())["words"][-8:] == list(
        words
    )
    watched = fleet.fleet("watch", "--every", "0.5", code=None).stdout
    assert not list(box.home.glob("**/pwned"))
    assert not list(fleet.folder.glob("**/pwned"))
    assert "state: " in watched
    fleet.fleet("down", "--remove")
    assert not (box.home / on_disk).exists()


def test_up_makes_the_environment_once_and_keeps_it(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    # Boxes have no network here: this step stands in for the one that installs.
    made = "mkdir -p .venv/bin; echo made >> .venv/log"
    wrapper = f"printf '#!/bin/sh\\nexec {sys.executable} \"$$@\"\\n' > .venv/bin/python"
    (fleet.checkout / "Makefile").write_text(
        f"setup:\n\t{made}; {wrapper}; chmod +x .venv/bin/python\n"
    )
    fleet.commit()
    (box.home / ".bashrc").write_text(f"PATH={sys.base_prefix}/bin:$PATH\n")
    (fleet.checkout / "README.md").write_text("changed")
    told = fleet.fleet("up", "--accept-new").stdout
    assert "is there; 1 changed files do not travel" in told
    assert "a  environment: make setup" in told
    fleet.fleet("up")
    assert (box.home / "rl-tuner-fleet/code/.venv/log").read_text() == "made\nmade\n"
    assert (box.home / "rl-tuner-fleet/code/README.md").read_text() != "changed"
    fleet.fleet("submit", *FAKE)
    assert "state: done" in fleet.fleet("watch", "--every", "0.5").stdout


def test_own_file_is_carried_to_the_box_and_named_there(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    (fleet.folder / "my 'bars'.csv").write_text("bars")
    fleet.fleet(*UP)
    for _ in range(2):  # the second time it is there
        code = "import sys; sys.exit(open(sys.argv[1]).read() != 'bars')"
        words = ("--", "python", "-c", code, "my 'bars'.csv")
        fleet.fleet("submit", "--send", "my 'bars'.csv", *words)
        fleet.fleet("watch", "--every", "0.5")
        time.sleep(1)  # names of jobs count seconds
    assert len(list(box.home.glob("rl-tuner-fleet/files/*/*"))) == 1
    told = fleet.fleet("submit", "--send", "x.csv", "--", "python", "x.csv", code=2).stderr
    assert "--send cannot read x.csv" in told


def test_dashboard_is_reached_on_the_laptop_and_from_nowhere_else(fleet: Lab) -> None:
    box, other = two_boxes(fleet)
    fleet.fleet(*UP)
    page = ["-m", "http.server", "--bind", "127.0.0.1", "8265"]
    get = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)"

    def fetch(machine: Machine, url: str) -> bool:
        enter = machine.enter([sys.executable, "-c", get, url])
        return subprocess.run(enter, capture_output=True, check=False).returncode == 0

    box.run_aside([sys.executable, *page])
    fleet.fleet("submit", "--only", "a", *FAKE, "--trials", "600", "--dashboard-port", "8265")
    watch = fleet.open_fleet("watch", "--only", "a", "--every", "0.5", "--dashboard")
    assert watch.stdout is not None
    url = next(line for line in watch.stdout if "dashboard" in line).split()[-1]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    wait_for(lambda: fetch(fleet.laptop, url), "the dashboard")
    assert not fetch(other, url.replace("127.0.0.1", fleet.laptop.address))
    assert not fetch(other, f"http://{box.address}:8265")
    fleet.kill(watch)
    wait_for(lambda: not fetch(fleet.laptop, url), "the end of the tunnel")


def test_search_whose_box_forgot_it_is_resumed_there(fleet: Lab) -> None:
    box = fleet.add_box("a")
    fleet.write_hosts()
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "6", "--trial-s", "1")
    wait_for(lambda: has_trials(box, 2), "two trials")
    box.lose()
    box.boot()
    told = fleet.fleet("status", code=None).stdout
    assert "state: died" in told
    fleet.fleet("submit", "--resume")
    fleet.fleet("watch", "--every", "0.5")
    assert _pulled_trials(fleet, "a") == 6


def test_search_that_fails_is_told_with_the_last_line_of_its_log(fleet: Lab) -> None:
    fleet.add_box("a")
    fleet.write_hosts()
    fleet.fleet(*UP)
    fleet.fleet("submit", *FAKE, "--trials", "1", "--fail", "2")
    told = fleet.fleet("watch", "--every", "0.5", code=1).stdout
    assert "state: failed" in told
    assert "exit code 2: nothing fits here" in told


def test_box_without_the_interpreter_that_was_named_is_refused(fleet: Lab) -> None:
    fleet.add_box("a")
    fleet.write_hosts()
    told = fleet.fleet("up", "--accept-new", "--python", "/nowhere/python", code=1).stdout
    assert "a  REFUSED: /nowhere/python is no Python 3.11 or newer there" in told
    assert (
        "a  REFUSED: is not set up: run `up` first." in fleet.fleet("submit", *FAKE, code=1).stdout
    )


def _pulled_trials(fleet: Lab, host: str) -> int:
    journals = list(fleet.folder.glob(f"profiles/{host}/*/run/journal.log"))
    return len(journals[0].read_text().splitlines()) if journals else 0
