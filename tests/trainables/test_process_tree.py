"""The use of a trial's processes, read off fake trees of /proc."""

from pathlib import Path

import pytest

from trainables import process_tree
from trainables.process_tree import proportional_bytes


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
