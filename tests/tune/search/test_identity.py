"""Journals of other machines: which are of the same search, and what becomes of the others."""

from pathlib import Path
from typing import Any

import pytest

from tune.search.identity import StudyError, read_known, require_same


def identity(data: str | None, sha256: str | None, **options: Any) -> dict[str, Any]:
    bars = {"source": "bars.csv"} | ({"sha256": sha256} if sha256 else {})
    return {"workload": "a:b", "options": {"data": data, "seed": 0, **options}, "data": bars}


HERE = identity("/root/rl-tuner-fleet/files/1/bars.csv", "5f")


@pytest.mark.parametrize(
    ("known", "now", "different"),
    [
        (identity("/workspace/rl-tuner/files/1/bars.csv", "5f"), HERE, None),
        (identity("/elsewhere/bars.csv", "77"), HERE, "data was"),
        (identity("/elsewhere/bars.csv", "5f", seed=1), HERE, "options was"),
        # Nobody has looked into the files that an option of the person's own loop names.
        (identity("/x.npz", None), identity("/y.npz", None), "options was"),
        (identity("/x.npz", None), HERE, "data was"),
    ],
)
def test_the_same_bars_in_another_folder_are_the_same_search(
    known: dict[str, Any], now: dict[str, Any], different: str | None
) -> None:
    if different is None:
        require_same(Path("journal.log"), known, now, advice="")
        return
    with pytest.raises(StudyError, match=rf"journal\.log belongs to another search: .*{different}"):
        require_same(Path("journal.log"), known, now, advice="")


@pytest.mark.parametrize(
    ("given", "adopted", "found", "notes", "raised"),
    [
        ("ab", "", "ab", "", None),
        ("aX", "", "a", "X", None),
        ("XaY", "", "a", "XY", None),
        ("X", "", "", "", "X is of other code"),
        ("XY", "", "", "", "X is of other code"),
        ("a-", "", "", "", "no - here"),
        ("", "", "", "", None),
        ("aX", "a", "", "X", None),
        ("a-", "a-", "", "", None),
    ],
)
def test_a_journal_that_cannot_be_used_is_a_note_beside_one_that_can(
    given: str, adopted: str, found: str, notes: str, raised: str | None, tmp_path: Path
) -> None:
    def read(journal: Path) -> str:
        if not journal.is_file():
            raise StudyError(f"no {journal.name} here")
        if journal.name.isupper():
            raise StudyError(f"{journal.name} is of other code")
        return journal.name

    journals = [tmp_path / name for name in given]
    for journal in journals:
        if journal.name != "-":
            journal.touch()
    said: list[str] = []
    before = [str(tmp_path / name) for name in adopted]
    if raised is not None:
        with pytest.raises(StudyError, match=raised):
            read_known(journals, read, adopted=before, note=said.append)
    else:
        known = read_known(journals, read, adopted=before, note=said.append)
        assert "".join(known.values()) == found
    assert said == [
        f"not known after all, and explored again: {one} is of other code" for one in notes
    ]
