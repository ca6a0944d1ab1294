"""The box's end of the line: what it tells whoever asks, with the standard library alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from box_jobs import FAKE, wait_for
from cluster.box import jobs
from cluster.box.__main__ import end_rent, status
from cluster.box.folder import BoxFolder
from cluster.node import deadman
from cluster.node.atomic import write_json
from places import ROOT


def test_which_part_a_job_is_is_kept_for_whoever_asks(box: BoxFolder) -> None:
    split = {"name": "j1", "number": 1, "count": 2}
    words = [*FAKE, "--shard", "1/2"]
    jobs.start(box, name="j1", words=words, resume=False, split=split, own_words=FAKE)
    wait_for(box.job("j1").exit.exists)
    jobs.start(box, name="j1", words=None, resume=True)
    assert status(box, {})["job"]["split"] == split
    assert status(box, {})["job"]["own_words"] == FAKE


def test_job_that_an_earlier_version_started_is_resumed_and_told(box: BoxFolder) -> None:
    job = box.job("old")
    job.run.mkdir(parents=True)
    (job.run / "journal.log").touch()
    words = [*FAKE, "--trials", "1", "--trial-s", "0.1"]
    request = {"words": words, "split": None, "name": "old", "resume": False, "started_at": 1.0}
    write_json(job.request, request)
    jobs.start(box, name="old", words=None, resume=True)
    wait_for(job.exit.exists)
    told = status(box, {})["job"]
    assert (told["state"], told["exit"]["exit_code"], told["own_words"]) == ("ended", 0, None)


def test_dead_man_that_takes_long_to_start_gets_no_second_one(
    box: BoxFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "_START_S", 0.0)
    monkeypatch.setattr(deadman, "fire", lambda *_, **__: pytest.fail("a second one"))
    assert end_rent(box, {"stop_command": ["touch", str(tmp_path / "stopped")]}) == {}
    wait_for((tmp_path / "stopped").exists)


def test_box_imports_nothing_but_the_standard_library() -> None:
    code = "import sys, cluster.box.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names <= {"cluster", "__main__"}
