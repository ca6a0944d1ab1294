"""What `submit` sends to a box, and when the box takes it."""

import json
import time
from pathlib import Path

import pytest

from box_jobs import FAKE, start, wait_for
from cluster.box import jobs
from cluster.box.__main__ import arm
from cluster.box.folder import BoxFolder
from cluster.errors import FleetError
from cluster.fleet import pull, send, status, status_view, submit
from cluster.fleet.offers.prices import Prices
from cluster.fleet.ssh import HostError
from cluster.node.atomic import read_json
from local_connection import local_box

WORDS = [*FAKE, "--trials", "1", "--trial-s", "0.1"]


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    """A lost box's search, which had begun an hour from now by that box's clock."""
    folder = tmp_path / "profiles" / "lost" / "s"
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "journal.log").touch()
    request = {"name": "s", "words": WORDS, "resume": False, "started_at": time.time() + 3600}
    (folder / "job.json").write_text(json.dumps(request))
    return folder


def test_box_that_is_busy_or_about_to_be_stopped_takes_no_search_over(
    box: BoxFolder, pulled: Path
) -> None:
    start(box, "--trials", "100")
    there = local_box(box.path)
    with pytest.raises(HostError, match="box: already runs the job j1: wait, or end it by"):
        submit.take_over(there, pulled)
    assert jobs.stop(box, reason="stopped") == "j1"
    arm(box, {"hours": 0.0, "stop_command": ["true"]})
    wait_for(box.deadman.fired.exists)
    with pytest.raises(HostError, match="box: its dead-man has fired and goes on to stop it"):
        submit.take_over(there, pulled)
    arm(box, {"hours": 1.0, "stop_command": ["true"]})
    submit.take_over(there, pulled)  # nothing of it was left behind
    wait_for(box.job("s-from-lost").exit.exists)


def test_search_that_was_taken_over_is_started_now(box: BoxFolder, pulled: Path) -> None:
    there = local_box(box.path)
    submit.take_over(there, pulled)
    wait_for(box.job("s-from-lost").exit.exists)
    job = there.status().job
    assert job is not None
    assert (job.name, job.state) == ("s-from-lost", "ended")
    assert 0 <= job.elapsed_s < 600


def test_search_that_was_taken_over_again_and_again_keeps_a_name_that_a_box_takes(
    box: BoxFolder, pulled: Path
) -> None:
    longer = pulled.with_name("search-20261130-040506" + "-from-a-box-of-a-long-name" * 3)
    pulled.rename(longer)
    submit.take_over(local_box(box.path), longer)
    [name] = (path.name for path in box.jobs.iterdir())
    assert name.endswith("-from-a-box-of-a-long-name-from-lost")
    wait_for(box.job(name).exit.exists)


def test_search_that_was_sent_a_file_is_taken_over_with_that_file(
    box: BoxFolder, pulled: Path, tmp_path: Path
) -> None:
    there, bars = local_box(box.path), tmp_path / "my 'bars'.csv"
    bars.write_text("bars")
    parcels = send.pack([bars])
    request = read_json(pulled / "job.json")
    words = [*request["words"], "--", *send.address([str(bars)], parcels)]
    (pulled / "job.json").write_text(json.dumps(request | {"words": words}))
    with pytest.raises(HostError, match=r"box: lacks \"my 'bars'\.csv\", .*: add --send"):
        submit.take_over(there, pulled)
    assert not box.job("s-from-lost").path.exists()
    send.send(there, parcels)
    submit.take_over(there, pulled)
    wait_for(box.job("s-from-lost").exit.exists)


def test_secret_of_a_command_stays_on_the_box_and_is_asked_for_again(
    box: BoxFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = local_box(box.path)
    words = [*WORDS, "--", "--env", "HF_TOKEN=hf_1"]
    told = submit.start(there, name="s", words=words)
    assert "HF_TOKEN=***" in told
    assert "hf_1" not in told
    wait_for(box.job("s").exit.exists)
    pulled = tmp_path / "profiles"
    assert pull.pull(there, pulled).num_files > 0
    for path in pulled.glob("**/*"):
        assert not path.is_file() or b"hf_1" not in path.read_bytes()
    assert pull.pull(there, pulled).num_files == 0
    shown = json.dumps(status_view.to_dict(status.read(there), Prices()))
    assert "HF_TOKEN=***" in shown
    assert "hf_1" not in shown

    with pytest.raises(FleetError, match=r"had a secret, HF_TOKEN, .*export HF_TOKEN="):
        submit.take_over(there, pulled / "box" / "s")
    monkeypatch.setenv("HF_TOKEN", "hf_2")
    submit.take_over(there, pulled / "box" / "s")
    job = box.job("s-from-box")
    wait_for(job.exit.exists)
    assert read_json(job.request)["words"][-1] == "HF_TOKEN=hf_2"
    assert read_json(job.exit)["exit_code"] == 0
