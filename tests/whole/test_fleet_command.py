"""A person's own training command on a rented box; the lab is that of test_fleet_story.py."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from netns_hosts import lab
from places import SUPPORT

pytestmark = [pytest.mark.slow, pytest.mark.seconds(90), pytest.mark.timeout(900)]


def test_a_command_is_searched_on_a_box_and_its_profile_comes_home(tmp_path: Path) -> None:
    with lab(tmp_path) as fleet:
        box = fleet.add_box("a")
        fleet.write_hosts()
        shutil.copy(SUPPORT / "frames.py", fleet.folder / "train.py")
        fleet.fleet("up", "--accept-new", "--python", sys.executable)
        search = "python -m tune.command --line ^frames --steps num_envs --unit frame"
        few = "--space num_envs=4:8 --max-runs 2 --finalists 1 --soak-updates 0"
        command = ("--", "python3", "train.py", "{num_envs}")
        words = (*search.split(), *few.split(), *command)
        fleet.fleet("submit", "--name", "s", "--send", "train.py", "--", *words)
        told = fleet.fleet("watch", "--every", "2", timeout_s=500, code=None).stdout
        logs = [log.read_text() for log in (fleet.folder / "profiles").glob("*/*/log.txt")]
        assert "state: done" in told, told + "".join(logs)
        fleet.fleet("report")
        [home] = (fleet.folder / "profiles").glob("*-train-fastest.yaml")
        profile = yaml.safe_load(home.read_text())
        assert profile["config"] == {"num_envs": 8}
        assert profile["speed"]["unit"] == "frames"
        assert box.processes("raylet") == []
