"""Jobs of a box whose search is a fake one, and the files that they leave."""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.box import bundle, jobs
from cluster.box.folder import BoxFolder

FAKE = ["python", "tests/support/fake_search.py"]


def start(box: BoxFolder, *words: str, name: str = "j1", resume: bool = False) -> None:
    jobs.start(box, name=name, words=[*FAKE, *words], resume=resume)


def wait_for(condition: Callable[[], object], *, timeout_s: float = 120.0) -> None:
    """Wait for what a test asserts: a busy machine may take its time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stream_of(folder: Path, have: Mapping[str, tuple[int, int]]) -> bytes:
    stream = io.BytesIO()
    bundle.send(folder, have, stream)
    return stream.getvalue()


def job_files(folder: Path) -> Path:
    for name in (
        "job.json",
        ".job.json.123",
        "log.txt",
        "profiles/p.yaml",
        "run/journal.log",
        "run/trials/000.log",
        "run/ray/huge/file",
        "run/lock",
    ):
        path = folder / "jobs" / "j1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 100)
    (folder / "jobs" / "j1" / "job.json").write_text('{"name": "j1", "words": null}')
    (folder / "jobs" / "j1" / "link").symlink_to("/etc/passwd")
    return folder / "jobs"
