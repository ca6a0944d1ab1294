"""A person's mistakes on the command line of a search: one sentence each, before anything runs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from search_command import run

pytestmark = pytest.mark.slow

MISTAKES: list[tuple[Sequence[str], str]] = [
    (("--data", "missing.csv"), "missing.csv"),
    (("--data", "bad.csv"), "close"),
    (("--space", "num_envs"), "num_envs=256"),
    (("--space", "batch_size=999"), "batch_size must divide"),
    (("--space", "lr=1e-4,3e-4"), "Phases 1 and 2 have no such axis"),
    (("--baseline", "hidden=3"), "hidden"),
    (("--max-time", "soon"), "10m"),
    (("--max-runs", "0"), "--max-runs"),
    (("--memory-budget", "lots"), "8GiB"),
    (("--thread-cap", "0"), "--thread-cap"),
    (("--device", "gpu"), "--device cpu"),
    (("--workload", "nowhere"), "package.module:factory"),
    (("--workload", "nowhere.at_all:factory"), "no module nowhere.at_all"),
    (("--option", "a=1"), "--workload"),
    (("--resume",), "--resume found no search"),
    (("--out", "/proc/nowhere"), "output folder"),
    (("--profiles", "bad.csv"), "--profiles"),
    (("--out", "damaged", "--resume"), "not a readable journal"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: Sequence[str], words: str
) -> None:
    (tmp_path / "bad.csv").write_text("time,open,high,low,volume\n2024-01-01,1,1,1,1\n")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "journal.log").write_text("garbage\n{\n")
    ended = run(tmp_path, *arguments, "--json")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "error" in ended.stderr.lower()
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
