"""The stream of a box's files."""

import errno
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from box_jobs import job_files, stream_of
from cluster.box import bundle


def test_profiles_are_sent_before_logs(tmp_path: Path) -> None:
    stream = stream_of(job_files(tmp_path), {})
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert tar.getnames()[:2] == ["j1/job.json", "j1/profiles/p.yaml"]
        assert tar.getnames().index("j1/run/journal.log") < tar.getnames().index("j1/log.txt")


@pytest.mark.parametrize(
    ("made", "staying"),
    [
        ("", ""),
        ("run/trials/outputs/trial-7/runs/a.ckpt", "run/trials/outputs"),  # of --keep-outputs
        ("run/l4/trials/outputs/trial-7/a.ckpt", "run/l4/trials/outputs"),
        ("run/large", "run/large"),
        ("run/ray/large", ""),  # Ray's own
        ("run/trials/outputs/trial-7/link", ""),  # to what lies beside the command
    ],
)
def test_what_no_pull_brings_home_is_named(
    made: str, staying: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LARGEST_BYTES", 2000)
    jobs = job_files(tmp_path)
    (jobs / "j1" / "run" / "trials" / "outputs").mkdir()  # as every search of a command leaves it
    if made:
        path = jobs / "j1" / made
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "link":
            path.symlink_to(jobs / "j1" / "log.txt")
        else:
            path.write_text("x" * (2001 if path.name == "large" else 1))
    assert [str(one.relative_to(jobs / "j1")) for one in bundle.staying(jobs)] == staying.split()


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are listed. One that is named `going` vanishes before that."""
    known: list[Path] = []
    scandir = os.scandir

    def scan(path: Any) -> Any:
        known.append(Path(path))
        if known[-1].name == "going":
            known[-1].rename(known[-1].with_name("gone"))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    return known


@pytest.mark.parametrize("folder", ["run/trials/work", "run/trials/outputs/trial-7"])
def test_folder_that_vanishes_meanwhile_costs_no_other_file(
    folder: str, tmp_path: Path, looked: list[Path]
) -> None:
    jobs = job_files(tmp_path)
    (jobs / "j1" / folder / "going").mkdir(parents=True)
    assert bundle.staying(jobs) == []
    (jobs / "j1" / folder / "gone").rename(jobs / "j1" / folder / "going")
    looked.clear()
    with tarfile.open(fileobj=io.BytesIO(stream_of(jobs, {}))) as tar:
        assert "j1/run/journal.log" in tar.getnames()


def test_what_stays_on_the_box_is_not_looked_through_at_a_pull(
    tmp_path: Path, looked: list[Path]
) -> None:
    jobs = job_files(tmp_path)
    (jobs / "j1" / "run" / "trials" / "outputs" / "trial-7").mkdir(parents=True)
    stream_of(jobs, {})
    places = {str(path.relative_to(jobs / "j1")) for path in looked if path != jobs}
    assert places == {".", "profiles", "run", "run/trials"}


def test_disk_that_shows_no_results_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if Path(path).name == "trials":
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    jobs = job_files(tmp_path)
    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(OSError, match="Input/output error"):
        bundle.staying(jobs)
