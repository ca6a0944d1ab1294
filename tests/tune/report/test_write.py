"""A folder that is none of a search has no report."""

import re
from pathlib import Path

import pytest

from cluster.errors import UserError
from tune.report.write import write_report
from tune.run_folder.folder import RunFolder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no search.json, so it is no folder of a search"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"schema_version": 2}', "is of schema version 2; this reads 1"),
        ('{"schema_version": 1, "command": ""}', "cannot be read"),
    ],
)
def test_a_folder_that_is_none_of_a_search_is_a_mistake(
    content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "search.json").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        write_report(RunFolder(tmp_path))


def test_a_file_is_no_folder_of_a_search(tmp_path: Path) -> None:
    (page := tmp_path / "report.html").touch()
    with pytest.raises(UserError, match=r"report\.html holds no search\.json, so it is no folder"):
        write_report(RunFolder(page))
