"""What people have from version 0.1 still loads: a journal, a run folder, profiles.

`support/version_0_1` is what that version wrote: a search over `surface_workload` under a memory
budget that half of its space exceeds, and the profile of a search of Phase 1.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from places import ROOT, SUPPORT
from search_spaces.space import SearchSpace
from trainables.measurement import OutcomeKind
from tune.profile import file as profile_file
from tune.report.write import write_report
from tune.run_folder import record
from tune.run_folder.folder import RunFolder
from tune.run_folder.trials import to_csv, to_dict
from tune.search.constraints import Limits
from tune.search.identity import StudyError
from tune.search.study import Study, read_trials

OLD = SUPPORT / "version_0_1"
NEWER = {
    "disturbed",
    "num_disturbed_blocks",
    "own_cpus",
    "others_cpus",
    "gpu_held_back",
    "num_restart_blocks",
    "device_growth_bytes",
    "unit",
    "first_health",
    "curve",
    "machine_speed",
    "num_slowed_blocks",
    "num_gpu_shared_blocks",
    "counted",
    "disturbed_per_second",
}
"""Figures of a measurement that came later."""
NO_COLUMNS = {"gpu_held_back", "first_health", "curve", "machine_speed"}
PROFILES = sorted(path.name for path in (OLD / "written").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    shutil.copytree(OLD / "run", tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_trials_of_the_journal_are_written_as_that_version_wrote_them(folder: RunFolder) -> None:
    trials = read_trials(folder.journal)
    document = json.loads((folder.path / "trials.json").read_text())
    written = [json.loads(json.dumps(to_dict(trial))) for trial in trials]
    for trial in written:
        assert trial.pop("machine_share") is None
        assert trial.pop("is_forgiven") is False
        assert trial["outcome"].pop("host_growth") is None
        assert trial["outcome"].pop("ends_search") is False
        assert trial["outcome"].pop("num_cpus_taken") is None
        assert trial["outcome"].pop("gpus") == []
        assert trial["outcome"].pop("host") is None
        for name in NEWER & (trial["outcome"]["measurement"] or {}).keys():
            del trial["outcome"]["measurement"][name]
    assert written == document["trials"]
    rows, old_rows = (
        list(csv.DictReader(io.StringIO(text)))
        for text in (to_csv(trials), (folder.path / "trials.csv").read_text())
    )
    assert rows[0].keys() - old_rows[0].keys() == (
        NEWER - {"gpu_held_back", "first_health", "curve", "machine_speed"}
    ) | {
        "host_growth",
        "ends_search",
        "num_cpus_taken",
        "gpus",
        "host",
        "machine_share",
    }
    assert [{name: row[name] for name in old_rows[0]} for row in rows] == old_rows


def test_what_was_never_run_is_excluded(folder: RunFolder) -> None:
    trials = read_trials(folder.journal)
    excluded = [trial for trial in trials if not trial.was_run]
    assert [trial.number for trial in excluded] == [5, 6, 7, 8, 9]
    assert {trial.kind for trial in excluded} == {OutcomeKind.EXCLUDED}
    assert {trial.kind for trial in trials if trial.was_run} == {
        OutcomeKind.COMPLETED,
        OutcomeKind.SLOW,
    }


def test_the_journal_is_resumed_and_nothing_is_repeated(folder: RunFolder) -> None:
    known = read_trials(folder.journal)
    limits = Limits(num_threads=None, device_bytes=80 * 2**20, host_bytes=None)
    space = SearchSpace(axes=()).override(
        ("num_envs=128,256,1024,2048,4096", "num_steps=64", "batch_size=2048,8192")
    )
    identity = json.loads((OLD / "identity.json").read_text())
    study = Study.resume(folder.journal, space=space, limits=limits, identity=identity)
    assert study.trials == known
    with pytest.raises(StudyError, match="objective was 'throughput', now 'balanced'"):
        Study.resume(
            folder.journal,
            space=space,
            limits=limits,
            identity=identity | {"objective": "balanced"},
        )


def test_the_report_is_made_again_from_the_folder(folder: RunFolder) -> None:
    kept = record.read(folder)
    assert kept.ending is not None
    assert not kept.ending.partial
    page = write_report(folder).read_text()
    assert "1024 x 64, 32 minibatches: 1.68 x faster than your baseline" in page
    assert "not run" in page


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_read_and_would_be_written_the_same(name: str) -> None:
    path = OLD / "written" / name
    assert profile_file.to_yaml(profile_file.read(path)) == path.read_text()


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_shown_by_the_command(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tune.profile", "show", str(OLD / "written" / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "confirmed by finals" in done.stdout
