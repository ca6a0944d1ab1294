"""The use of a trial's processes, read off fake trees of /proc, and the end of real ones."""

from pathlib import Path

import pytest

from subprocesses import without_its_first_thread
from trainables import process_tree
from trainables.process_tree import ProcessTree, proportional_bytes


def test_threads_that_outlive_the_first_one_are_ended() -> None:
    with without_its_first_thread() as process:
        tree = ProcessTree(process.pid)
        assert tree.usage().pids == (process.pid,)
        assert process.poll() is None
        assert tree.kill()
        assert process.wait(10) == -9


@pytest.mark.parametrize(
    ("files", "num_bytes"),
    [
        ({1: "Rss: 900 kB\nPss: 100 kB\n", 2: "Pss: 50 kB\n"}, 150 * 1024),
        ({1: "Pss: 100 kB\n"}, 100 * 1024),  # the other has ended
        ({}, 0),
        ({1: "Pss: 100 kB\n", 2: None}, None),  # gVisor has no such file
    ],
)
def test_shared_pages_are_shared_out_where_the_kernel_tells(
    files: dict[int, str | None],
    num_bytes: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    for pid, text in files.items():
        (tmp_path / str(pid)).mkdir()
        if text is not None:
            (tmp_path / str(pid) / "smaps_rollup").write_text(text)
    assert proportional_bytes([1, 2]) == num_bytes
