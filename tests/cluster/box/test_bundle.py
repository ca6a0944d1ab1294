"""The stream of a box's files."""

import io
import tarfile
from pathlib import Path

from box_jobs import job_files, stream_of


def test_profiles_are_sent_before_logs(tmp_path: Path) -> None:
    stream = stream_of(job_files(tmp_path), {})
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert tar.getnames()[0] == "j1/profiles/p.yaml"
        assert tar.getnames().index("j1/run/journal.log") < tar.getnames().index("j1/log.txt")
