"""What a journal keeps, as a later session takes it."""

import pytest

from factories import outcome, trial
from trainables.measurement import OutcomeKind
from tune.search.kept import forgiven
from tune.search.trial import Stage, Trial


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


def test_a_defect_under_a_lever_is_the_levers_and_one_of_the_winner_beside_it_is_not() -> None:
    def failed(number: int, **config: object) -> Trial:
        died = outcome(kind=OutcomeKind.ERROR, measurement=None)
        return trial(number=number, stage=Stage.LEVER, outcome=died, config=config)

    winner = failed(3, num_envs=32)
    lever = failed(4, num_envs=32, **{"env.XLA_FLAGS": "--xla_gpu_enable_triton_gemm=false"})
    assert [one.is_forgiven for one in forgiven([winner, lever], before=9)] == [True, False]
