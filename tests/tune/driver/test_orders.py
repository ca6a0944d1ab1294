"""The cap of the next trial, by those that had to be halved."""

import pytest

import factories
from trainables.measurement import OutcomeKind
from tune.driver.orders import Halved, thread_cap
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
    assert thread_cap(8, trials, {"num_envs": 1}, on_gpu=True) == here
    assert thread_cap(8, trials, {"num_envs": 5}, on_gpu=True) == elsewhere
    four = {"num_envs": 5, "num_devices": 4}
    assert thread_cap(8, trials, four, on_gpu=True) == 4 * elsewhere
    assert thread_cap(8, trials, four, on_gpu=False) == elsewhere


def test_a_halved_cap_of_several_gpus_is_less_for_each() -> None:
    two = {"num_devices": 2}
    halved = factories.trial(config=two, outcome=factories.outcome(thread_cap=8))
    assert thread_cap(8, [halved], two, on_gpu=True) == 8
    assert thread_cap(8, [halved], {"num_devices": 1}, on_gpu=True) == 8
    other = factories.trial(config={"num_devices": 1}, outcome=factories.outcome(thread_cap=4))
    assert thread_cap(8, [halved, other], {"num_devices": 4}, on_gpu=True) == 16


def test_those_that_were_halved_say_as_much_as_all() -> None:
    halved, trials = Halved(8, on_gpu=True), list[Trial]()
    for number, cap in enumerate([8, 0, 4, 8, 2]):
        trials.append(trial(number, number % 2, cap))
        for config in ({"num_envs": 0}, {"num_envs": 1}, {"num_envs": 2, "num_devices": 2}):
            known = halved.among(trials)
            here = thread_cap(8, known, config, on_gpu=True)
            assert here == thread_cap(8, trials, config, on_gpu=True)
    assert [one.number for one in halved.among(trials)] == [1, 2, 4]
