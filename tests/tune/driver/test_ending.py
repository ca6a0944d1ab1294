"""The end of a search: what is written and said, whatever cannot be."""

from pathlib import Path
from typing import Any

import pytest

import searches
from prepared_search import prepared
from simulated_search import drive, make
from tune.driver import ending
from tune.driver.ending import Ending
from tune.memory.look_ahead import NO_FORESIGHT
from tune.run_folder import record
from tune.run_folder.folder import RunFolder


@pytest.mark.parametrize(
    ("writer", "lost"), [("_export", "profiles"), ("write_trials", "trials.csv")]
)
def test_a_defect_in_one_writer_costs_no_other_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    writer: str,
    lost: str,
) -> None:
    search = make(tmp_path)
    drive(search)
    record.write(RunFolder(tmp_path), searches.record(ending=None))

    def defective(*of: Any, **more: Any) -> None:
        raise OverflowError("math range error")

    monkeypatch.setattr(ending, writer, defective)
    with pytest.raises(ExceptionGroup, match="could not be written in full") as raised:
        ending.write_result(prepared(tmp_path), search, NO_FORESIGHT, Ending.FINISHED)
    assert raised.group_contains(OverflowError, match="math range error")
    assert '"finished"' in capsys.readouterr().out
    written = {path.name for path in tmp_path.iterdir()}
    assert {"profiles", "trials.csv", "report.html"} - written == {lost}
