"""The cap of the next trial, by those that had to be halved."""

import pytest

import factories
from trainables.measurement import OutcomeKind
from tune.driver.orders import thread_cap
from tune.search.trial import Stage, Trial


def trial(number: int, num_envs: int, cap: int) -> Trial:
    outcome = factories.outcome(thread_cap=cap, kind=OutcomeKind.COMPLETED)
    return Trial(number=number, stage=Stage.SEARCH, config={"num_envs": num_envs}, outcome=outcome)


@pytest.mark.parametrize(
    ("halved", "here", "elsewhere"),
    [
        ([], 8, 8),
        ([(1, 4)], 4, 8),  # it may be that configuration alone
        ([(1, 4), (1, 2)], 2, 8),
        ([(1, 4), (2, 4)], 4, 4),  # two are the machine
        ([(1, 4), (2, 2)], 2, 2),
        ([(1, 0), (2, 0)], 8, 8),  # lost ones had no cap
    ],
)
def test_a_cap_is_lowered_for_what_needed_it(
    halved: list[tuple[int, int]], here: int, elsewhere: int
) -> None:
    trials = [trial(number, *of) for number, of in enumerate([(9, 8), *halved])]
    assert thread_cap(8, trials, {"num_envs": 1}) == here
    assert thread_cap(8, trials, {"num_envs": 5}) == elsewhere
