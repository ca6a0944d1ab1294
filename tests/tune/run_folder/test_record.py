"""The record of a search: it comes back as it was, and tells no secret."""

import dataclasses
import json
from pathlib import Path

from factories import preflight, task
from searches import record
from tune.jax_phase12 import JaxSpec
from tune.run_folder import record as record_file
from tune.run_folder.folder import RunFolder
from tune.run_folder.record import RunRecord, SearchContext


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    written = record()
    record_file.write(run, written)
    known = record_file.read(run)
    assert known == written
    assert isinstance(known.context, SearchContext)


def test_the_command_line_is_kept_without_credentials() -> None:
    given = ["/usr/bin/python3", "-m", "tune.jax_phase12", "--x", "a b", "--to", "http://me:pw@h/x"]
    assert record_file.command_line(given) == (
        "python -m tune.jax_phase12 --x 'a b' --to http://h/x"
    )


def test_the_record_is_plain_json_that_names_its_version(tmp_path: Path) -> None:
    record_file.write(RunFolder(tmp_path), record())
    document = json.loads((tmp_path / "search.json").read_text())
    assert document["schema_version"] == 1
    assert document.keys() - {"schema_version"} == {
        field.name for field in dataclasses.fields(RunRecord)
    }


def test_what_a_search_is_judged_against_is_the_same_on_screen_and_page() -> None:
    doubted = dataclasses.replace(task(), doubts=("Is it?",))
    spec = JaxSpec(baseline=("num_envs=2",))
    context = SearchContext.of(spec, doubted, preflight(), "your baseline")
    assert context.baseline_called == "your baseline"
    assert context.doubts == ("Is it?",)
    assert context.thread_room == 1000


def test_a_record_of_a_command_from_before_trials_had_their_unit_is_read(tmp_path: Path) -> None:
    written = record()
    record_file.write(RunFolder(tmp_path), written)
    path = tmp_path / "search.json"
    document = json.loads(path.read_text())
    document["context"]["steps"] = "agent steps"
    path.write_text(json.dumps(document))
    assert record_file.read(RunFolder(tmp_path)) == written
