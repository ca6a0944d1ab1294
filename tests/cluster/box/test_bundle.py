"""The stream of a box's files."""

import io
import tarfile
from pathlib import Path

import pytest

from box_jobs import job_files, stream_of
from cluster.box import bundle


def test_profiles_are_sent_before_logs(tmp_path: Path) -> None:
    stream = stream_of(job_files(tmp_path), {})
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert tar.getnames()[0] == "j1/profiles/p.yaml"
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
