"""Every end without a speed has a mark of its own."""

import searches
from trainables.measurement import OutcomeKind
from tune.report.marks import MARKS


def test_every_end_without_a_speed_has_a_mark_of_its_own() -> None:
    assert MARKS.keys() == set(OutcomeKind) - set(searches.MEASURED)
    assert len(set(MARKS.values())) == len(MARKS)
