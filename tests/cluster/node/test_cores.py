"""CPUs that are dealt out to trials side by side."""

import pytest

from cluster.node.cores import cores_first, deal, own_first

PAIRS = [(cpu, cpu + 8) for cpu in range(8)]
"""Eight cores of two threads, as most hosts count them."""


def test_one_cpu_of_each_core_comes_first() -> None:
    assert cores_first(range(4), [(0, 1), (2, 3)]) == (0, 2, 1, 3)
    assert cores_first((5, 13, 3, 99), PAIRS) == (5, 3, 99, 13)


@pytest.mark.parametrize(
    ("cpus", "num_places", "dealt"),
    [
        (range(16), 1, [(*range(16),)]),
        (range(16), 2, [(0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)]),
        (range(16), 8, [(cpu, cpu + 8) for cpu in range(8)]),
        (range(8), 3, [(0, 1), (2, 3), (4, 5)]),
        ((0, 1, 8, 9), 4, [(0,), (8,), (1,), (9,)]),
        ((0, 1), 4, [(0,), (1,), (0,), (1,)]),
    ],
)
def test_places_have_as_many_cpus_and_whole_cores_while_they_last(
    cpus: range, num_places: int, dealt: list[tuple[int, ...]]
) -> None:
    assert list(deal(cpus, PAIRS, num_places)) == dealt


@pytest.mark.parametrize("sizes", [(1,) * 8, (4, 4), (2, 1, 4, 1), (8,)])
@pytest.mark.parametrize("cap", [1, 2, 4])
def test_trials_on_whatever_gpus_have_cpus_of_their_own(sizes: tuple[int, ...], cap: int) -> None:
    """32 CPUs for 8 GPUs, under a cap for each GPU, which may have been halved for one of them."""
    gpus, taken = iter(range(8)), []
    for size in sizes:
        places = [next(gpus) for _ in range(size)]
        taken += own_first(range(32), [], places, 8)[: cap * size]
    assert len(set(taken)) == len(taken) == 8 * cap


@pytest.mark.parametrize(
    ("places", "cap", "expected"),
    [
        ((), 3, (0, 1, 2)),  # no GPU: the only trial here
        ((0,), 2, (0, 1)),
        ((1,), 4, (4, 5, 6, 7)),
        ((3,), 2, (12, 13)),
        ((0, 3), 4, (0, 12, 1, 13)),  # Ray's may lie apart
        ((1,), 10, (4, 5, 6, 7, 0, 1, 2, 3, 8, 9)),  # a cap beyond its own
    ],
)
def test_a_trial_takes_its_own_cpus_first(
    places: tuple[int, ...], cap: int, expected: tuple[int, ...]
) -> None:
    assert own_first(range(16), [], places, 4)[:cap] == expected


def test_more_trials_than_cpus_share_them_evenly() -> None:
    first = [own_first(range(4), [], (place,), 8)[0] for place in range(8)]
    assert sorted(first) == [0, 0, 1, 1, 2, 2, 3, 3]
