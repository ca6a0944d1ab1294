"""How a session begins: its journal, those of `--known` beside it, and what it waits for."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from factories import outcome
from places import PYTHONPATH
from prepared_search import prepared
from tune.prepare import Prepared
from tune.search.identity import StudyError
from tune.search.study import Study
from tune.search.trial import Stage
from tune.session import _open_study


def of(folder: Path, *known: Path) -> Prepared:
    """A search in this folder that knows these journals."""
    folder.mkdir()
    settled = prepared(folder)
    return dataclasses.replace(settled, spec=dataclasses.replace(settled.spec, known=known))


def explored(folder: Path) -> Path:
    """The journal of a part that explored one configuration."""
    part = of(folder)
    study = _open_study(part)
    study.tell(study.ask(Stage.BASELINE, part.baseline), outcome(), score=5.0)
    return part.folder.journal


def sources(study: Study) -> list[str | None]:
    return [trial.source for trial in study.trials]


def test_a_resumed_session_needs_no_journal_that_it_adopted(tmp_path: Path) -> None:
    first, second = explored(tmp_path / "1"), explored(tmp_path / "2")
    whole = of(tmp_path / "whole", first, second)
    assert sources(_open_study(whole)) == [str(first), str(second)]
    first.unlink()
    second.write_text("damaged\n")
    resumed = dataclasses.replace(whole, resume=True)
    assert sources(_open_study(resumed)) == [str(first), str(second)]


def test_a_resumed_session_has_a_note_again_on_what_could_not_be_used(tmp_path: Path) -> None:
    """And so has the guard that concludes a session that was killed."""
    first, other = explored(tmp_path / "1"), tmp_path / "other.log"
    other.write_text("damaged\n")
    whole = of(tmp_path / "whole", first, other)
    for resume in (False, True):
        study = _open_study(dataclasses.replace(whole, resume=resume))
        assert sources(study) == [str(first)]


def test_a_resumed_session_adopts_what_it_had_not(tmp_path: Path) -> None:
    first, second = explored(tmp_path / "1"), explored(tmp_path / "2")
    whole = of(tmp_path / "whole", first)
    _open_study(whole)
    more = dataclasses.replace(
        whole, resume=True, spec=dataclasses.replace(whole.spec, known=(first, second))
    )
    assert sources(_open_study(more)) == [str(first), str(second)]
    second.unlink()
    assert len(_open_study(more).trials) == 2


def test_where_a_known_journal_is_missing_no_search_begins(tmp_path: Path) -> None:
    whole = of(tmp_path / "whole", tmp_path / "nowhere.log")
    with pytest.raises(StudyError, match="does not exist"):
        _open_study(whole)
    assert not whole.folder.journal.exists()


def test_a_refusal_waits_for_no_import_of_ray(tmp_path: Path) -> None:
    """The journal is read last of all that a person can be refused for."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal.log").write_text("garbage")
    refused = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tune.jax_phase12", "--out", "out", "--resume"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 2, refused.stderr
    assert "not a readable journal" in refused.stderr
    imported = set(re.findall(r"\| +([\w.]+)$", refused.stderr, re.MULTILINE))
    assert "optuna" in imported
    assert not imported & {"ray", "scipy.optimize", "jax", "torch"}
