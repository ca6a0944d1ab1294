"""/proc/PID/stat, read over a fake tree and of this very process."""

import os
from pathlib import Path

import pytest

from cluster.node import proc
from cluster.node.proc import ProcessStat, read_stat

FIELDS = (
    "S 7 40 41 0 -1 4194560 1 0 0 0 5 6 30 40 20 0 3 0 98765 1000000 25 18446744073709551615 "
    "1 1 0 0 0 0 0 0 0 0 0 0 17 5 0 0"
)


@pytest.mark.parametrize("name", ["python", "tmux: server", "a) S 1 (b", "((("])
def test_name_of_the_program_moves_no_field(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc, "PROC", tmp_path)
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_text(f"42 ({name}) {FIELDS}\n")
    assert read_stat(42) == ProcessStat(
        pid=42,
        started=98765,
        parent=7,
        session=41,
        is_dead=False,
        num_threads=3,
        resident_bytes=25 * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=81 / os.sysconf("SC_CLK_TCK"),
        alone_s=11 / os.sysconf("SC_CLK_TCK"),
        last_cpu=5,
    )


@pytest.mark.parametrize(
    ("state", "num_threads", "is_dead"),
    [("Z", 1, True), ("X", 0, True), ("Z", 2, False), ("D", 1, False)],
)
def test_a_process_is_dead_with_its_last_thread(
    state: str, num_threads: int, is_dead: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc, "PROC", tmp_path)
    (tmp_path / "42").mkdir()
    fields = FIELDS.replace("S ", f"{state} ", 1).replace(" 0 3 0 ", f" 0 {num_threads} 0 ", 1)
    (tmp_path / "42" / "stat").write_text(f"42 (python) {fields}\n")
    found = read_stat(42)
    assert found is not None
    assert (found.is_dead, found.num_threads) == (is_dead, num_threads)


def test_process_that_is_gone_has_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "PROC", tmp_path)
    assert read_stat(42) is None


def test_this_process_is_alive_and_its_parents_child() -> None:
    own = read_stat(os.getpid())
    assert own is not None
    assert (own.parent, own.is_dead) == (os.getppid(), False)
    assert own.num_threads >= 1
    assert own.resident_bytes > 0
