"""The command makes a report again from the folder of a search."""

import subprocess
import sys
from pathlib import Path

import pytest

import searches
from factories import outcome
from places import ROOT
from search_spaces.space import Axis, SearchSpace
from searches import record
from tune.run_folder import record as record_file
from tune.run_folder.folder import RunFolder
from tune.search.constraints import Limits
from tune.search.study import Study
from tune.search.trial import Stage

NO_LIMITS = Limits(num_threads=None, device_bytes=None, host_bytes=None)


def write_search(folder: Path, trials: int = 1) -> RunFolder:
    """A search's folder as a search leaves it when it is killed."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    axes = tuple(Axis(name=n, values=(v, 2 * v)) for n, v in searches.BASELINE.items())
    study = Study.create(run.journal, space=SearchSpace(axes=axes), limits=NO_LIMITS, identity={})
    for _ in range(trials):
        study.tell(study.ask(Stage.BASELINE, searches.BASELINE), outcome(), score=1.0)
    record_file.write(run, record(ending=None))
    return run


def run_command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tune.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def test_a_report_is_made_again_from_the_folder_of_a_killed_search(tmp_path: Path) -> None:
    run = write_search(tmp_path / "one")
    journal = run.journal.read_bytes()
    ended = run_command(run.path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{run.report}\n"
    assert "it still runs, or was killed" in run.report.read_text()
    assert run.journal.read_bytes() == journal


@pytest.mark.parametrize("arguments", [["nowhere"], [Path(__file__)]])
def test_a_mistake_is_one_sentence(arguments: list[str]) -> None:
    ended = run_command(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
