"""Two rented boxes of one class share a search; the lab is that of test_fleet_story.py."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from netns_hosts import Box, Lab, lab, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.seconds(180), pytest.mark.timeout(1500)]

FAKE = ("--", "python", "tests/support/fake_search.py")
UP = ("up", "--accept-new", "--python", sys.executable)
WATCH = ("watch", "--every", "0.5")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as built:
        yield built


def twins(fleet: Lab) -> tuple[Box, Box]:
    """Two boxes of the class of one CPU, set up."""
    boxes = fleet.add_box("a", cpus="0"), fleet.add_box("b", cpus="0")
    fleet.write_hosts()
    fleet.fleet(*UP)
    return boxes


def submit(fleet: Lab, *, trials: int, trial_s: float = 0.7, finals_s: float = 2.0) -> str:
    seconds = ("--trial-s", str(trial_s), "--finals-s", str(finals_s))
    options = ("--trials", str(trials), *seconds)
    return fleet.fleet("submit", "--split", "--name", "s", *FAKE, *options).stdout


def trials(folder: Path) -> list[dict[str, Any]]:
    """The trials that a job's journal holds."""
    journal = folder / "run" / "journal.log"
    return (
        [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    )


def numbers(folder: Path) -> list[int]:
    return [trial["number"] for trial in trials(folder)]


def wall_s(*folders: Path) -> float:
    every = [trial for folder in folders for trial in trials(folder)]
    return float(max(t["ended_at"] for t in every) - min(t["began_at"] for t in every))


def jobs(box: Box) -> Path:
    return box.home / "rl-tuner-fleet" / "jobs"


def profiles(fleet: Lab) -> list[str]:
    """The jobs whose profiles were pulled, as HOST/JOB."""
    found = fleet.folder.glob("profiles/*/*/profiles/*.yaml")
    return sorted("/".join(path.parts[-4:-2]) for path in found)


def test_two_boxes_of_a_class_halve_its_search_and_one_of_them_finishes_it(fleet: Lab) -> None:
    fleet.add_box("c")
    twins(fleet)
    told = submit(fleet, trials=8, trial_s=2.5)
    assert re.search(r"a  runs part 1/2: .* --shard 1/2 ", told)
    assert re.search(r"b  runs part 2/2: .* --shard 2/2 ", told)
    assert re.search(r"c  runs the whole: (?!.*--shard)", told)
    told = fleet.fleet(*WATCH).stdout
    assert re.search(r"b  .*state: part done; doing: part 2/2, finished; trials: 4 of 4", told)
    assert "a  all parts are over: runs" in told
    assert "a  class: " in told
    assert re.search(r"a  .*state: done; doing: finals, finished", told)
    here = fleet.folder / "profiles"
    assert numbers(here / "a/s") == [0, 2, 4, 6]
    assert numbers(here / "b/s") == [1, 3, 5, 7]
    assert sorted(numbers(here / "a/s-finals")) == list(range(8))
    assert profiles(fleet) == ["a/s-finals", "c/s"]
    assert wall_s(here / "c/s") / wall_s(here / "a/s", here / "b/s") > 1.6
    assert "profile: " in fleet.fleet("report").stdout
    assert "a  no job was running" in fleet.fleet("down", "--remove").stdout


def test_box_lost_in_the_middle_costs_what_was_not_pulled_and_nothing_else(fleet: Lab) -> None:
    _, b = twins(fleet)
    submit(fleet, trials=12, trial_s=2.0)  # b has more to do when two are here
    watch = fleet.open_fleet("watch", "--every", "0.2", "--lost-after", "3")
    here = fleet.folder / "profiles"
    wait_for(lambda: len(numbers(here / "b/s")) >= 2, "pulled trials")
    b.lose()
    told, _ = watch.communicate(timeout=60)
    assert watch.returncode == 0, told
    assert (
        "b  node lost: its results until then are in profiles/b; another box has finished" in told
    )
    known = set(numbers(here / "a/s")) | set(numbers(here / "b/s"))
    assert len(known) >= 8
    assert sorted(numbers(here / "a/s-finals")) == list(range(12))
    events = (here / "a/s-finals/events.jsonl").read_text().splitlines()
    explored = [
        e["trial"]["number"] for e in map(json.loads, events) if e["event"] == "trial_ended"
    ]
    assert set(explored) == set(range(12)) - known
    assert profiles(fleet) == ["a/s-finals"]


def test_watch_goes_on_where_it_was_between_parts_and_finals_and_within_them(fleet: Lab) -> None:
    a, b = twins(fleet)
    submit(fleet, trials=30, finals_s=5)
    watch = fleet.open_fleet(*WATCH)
    assert watch.stdout is not None
    assert "state: running" in watch.stdout.readline()
    fleet.kill(watch)
    ends = [jobs(box) / "s" / "exit.json" for box in (a, b)]
    wait_for(lambda: all(end.exists() for end in ends), "both ends")
    told = fleet.fleet("status").stdout
    assert told.count("state: part done") == 2
    watch, other = fleet.open_fleet(*WATCH), fleet.open_fleet(*WATCH)
    wait_for((jobs(a) / "s-finals/job.json").exists, "finals")
    fleet.kill(watch)
    told, _ = other.communicate(timeout=60)
    assert other.returncode == 0, told
    assert "state: done; doing: finals" in fleet.fleet(*WATCH).stdout
    assert [path.name for path in sorted(jobs(a).iterdir())] == ["s", "s-finals"]
    assert [path.name for path in sorted(jobs(b).iterdir())] == ["s"]
    assert profiles(fleet) == ["a/s-finals"]


def test_box_lost_while_it_finishes_the_search_is_replaced_by_the_other(fleet: Lab) -> None:
    a, b = twins(fleet)
    submit(fleet, trials=6, finals_s=15)
    watch = fleet.open_fleet("watch", "--every", "0.2", "--lost-after", "3")
    wait_for((jobs(a) / "s-finals/job.json").exists, "finals")
    wait_for((fleet.folder / "profiles/a/s-finals/job.json").exists, "finals here")
    a.lose()
    told, _ = watch.communicate(timeout=90)
    assert watch.returncode == 0, told
    assert "b  all parts are over: runs" in told
    assert sorted(numbers(jobs(b) / "s-finals")) == list(range(6))
    assert profiles(fleet) == ["b/s-finals"]


def test_part_that_failed_is_told_and_what_it_found_is_merged(fleet: Lab) -> None:
    a, b = twins(fleet)
    submit(fleet, trials=8, trial_s=1.5)
    wait_for(lambda: numbers(jobs(a) / "s"), "a trial")
    first = json.loads((jobs(a) / "s/process.json").read_text())["pid"]
    subprocess.run(a.enter(["kill", "-KILL", str(first)]), check=True)
    told = fleet.fleet(*WATCH).stdout
    assert re.search(r"a  .*state: failed; doing: part 1/2.*note: exit code -9", told)
    assert "b  all parts are over: runs" in told  # not on the box where something is wrong
    assert sorted(numbers(jobs(b) / "s-finals")) == list(range(8))


def test_parts_that_were_stopped_are_not_finished_before_they_are_resumed(fleet: Lab) -> None:
    boxes = twins(fleet)
    submit(fleet, trials=40)
    wait_for(lambda: all(numbers(jobs(box) / "s") for box in boxes), "trials")
    fleet.fleet("down")
    told = fleet.fleet(*WATCH, code=1).stdout
    assert re.search("s on .*-1cpu is not finished: a part was stopped: `submit --resume`", told)
    assert profiles(fleet) == []
    told = fleet.fleet("submit", "--resume").stdout
    assert "--shard 2/2" in told
    told = fleet.fleet(*WATCH, "--only", "a", code=1).stdout
    assert "part 2 is on another box: watch without --only" in told
    fleet.fleet(*WATCH)
    assert profiles(fleet) == ["a/s-finals"]


def test_real_search_of_two_boxes_comes_home_with_one_profile(fleet: Lab) -> None:
    """Its trials pretend to train: ten real ones take ten minutes where CPUs are slow."""
    boxes = fleet.add_box("a", cpus="0"), fleet.add_box("b", cpus="1")
    fleet.write_hosts(a="price_per_hour = 0.10", b="price_per_hour = 0.10")
    fleet.fleet(*UP)
    space = ("--space", "num_envs=64,128", "num_steps=32", "batch_size=512,1024")
    baseline = ("--baseline", "num_envs=64", "num_steps=32", "batch_size=1024")
    finals = ("--finalists", "1", "--final-rounds", "1", "--soak-updates", "3")
    training = ("--workload", "tests.support.surface_workload:factory", "--memory-budget", "120MB")
    search = ("--", "python", "-m", "tune.jax_phase12", *training, "--max-runs", "4")
    fleet.fleet("submit", "--split", "--name", "s", *search, *space, *baseline, *finals)
    told = fleet.fleet("watch", "--every", "2", timeout_s=500, code=None).stdout
    here = fleet.folder / "profiles"
    logs = [log.read_text() for log in here.glob("*/*/log.txt")]
    assert "state: done; doing: finals" in told, told + "".join(logs)
    parts = [set(explored(here / host / "s")) for host in "ab"]
    assert parts[0] & parts[1] == {("64", "32", "1024")}  # the baseline, which each measures
    finished = explored(here / "a/s-finals")
    assert parts[0] | parts[1] <= set(finished)
    assert len(finished) == len(parts[0]) + len(parts[1]), "nothing explored twice"
    assert set(profiles(fleet)) == {"a/s-finals"}
    told = fleet.fleet("report").stdout
    assert re.search(r"Rent this one: \S+ at \$0.10 an hour, \S+ \w env steps per dollar", told)
    assert "profile: " in told
    assert all(box.processes("raylet") == [] for box in boxes)
    [profile] = here.glob("*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is False


def explored(folder: Path) -> list[tuple[str, ...]]:
    """The configurations that a real search has explored, or knows from others."""
    with (folder / "run" / "trials.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] not in {"final", "soak"}]
    return [(row["num_envs"], row["num_steps"], row["batch_size"]) for row in rows]
