"""What a journal keeps, as a later session takes it."""

import pytest

from factories import outcome, trial
from trainables.measurement import OutcomeKind
from tune.search.kept import forgiven
from tune.search.trial import Stage


@pytest.mark.parametrize(
    ("stage", "kind", "is_forgiven"),
    [
        (Stage.FINAL, OutcomeKind.ERROR, True),
        (Stage.SOAK, OutcomeKind.ERROR, True),
        (Stage.SEARCH, OutcomeKind.ERROR, False),
        (Stage.FINAL, OutcomeKind.DEVICE_MEMORY, False),
        (Stage.FINAL, OutcomeKind.NODE_LOST, False),
    ],
)
def test_only_a_defect_of_what_was_compared_is_forgiven(
    stage: Stage, kind: OutcomeKind, is_forgiven: bool
) -> None:
    failed = trial(number=3, stage=stage, outcome=outcome(kind=kind, measurement=None))
    (later,) = forgiven([failed], before=4)
    assert later.is_forgiven == is_forgiven
    assert forgiven([later], before=3) == [failed], "it is of the session that is told of"
