"""CPUs for trials side by side, near their GPUs."""

import pytest

from cluster.node.limits import Cpus
from machines import gpu_host, visible
from tune.preflight.gpu_places import gpu_places

FIRST, SECOND = tuple(range(4)), tuple(range(4, 8))
"""The CPUs of two sockets."""


@pytest.mark.parametrize(
    ("near", "allowed", "cap", "places"),
    [
        ((), range(8), 2, [(0, 1), (2, 3), (4, 5)]),
        ((FIRST, SECOND, SECOND), range(8), 2, [(0, 1), (4, 5), (6, 7)]),
        ((SECOND, FIRST, SECOND), range(8), 2, [(4, 5), (0, 1), (6, 7)]),
        # One side has too few: the third takes what is left of the other.
        ((FIRST, FIRST, FIRST), range(8), 2, [(0, 1), (2, 3), (4, 5)]),
        ((FIRST, (), SECOND), (1, 3, 5, 7), 1, [(1,), (3,), (5,)]),
        # A container's CPUs may all lie on the other side.
        ((SECOND, SECOND, SECOND), range(3), 1, [(0,), (1,), (2,)]),
    ],
)
def test_trials_have_cpus_of_their_own_near_their_gpus(
    near: tuple[tuple[int, ...], ...],
    allowed: range,
    cap: int,
    places: list[tuple[int, ...]],
) -> None:
    findings = gpu_host(
        *(visible(str(n), near_cpus=cpus) for n, cpus in enumerate(near or ((),) * 3)),
        cpus=Cpus(allowed=tuple(allowed), quota_cores=None, online=8),
    )
    assert [place.cpus for place in gpu_places(findings, ("0", "1", "2"), cap)] == places


@pytest.mark.parametrize(
    ("near", "cap", "places"),
    [
        ((), 8, [{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}]),
        ((), 4, [{0, 1, 2, 3}, {4, 5, 6, 7}]),
        (((0, 1, 2, 3, 8, 9, 10, 11),) * 2, 4, [{0, 1, 8, 9}, {2, 3, 10, 11}]),
        (
            ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
            4,
            [{0, 1, 2, 3}, {4, 5, 6, 7}],
        ),
    ],
)
def test_trials_share_no_core_while_there_are_enough(
    near: tuple[tuple[int, ...], ...], cap: int, places: list[set[int]]
) -> None:
    """Eight cores of two threads, the second ones from CPU 8 on."""
    cores = tuple((cpu, cpu + 8) for cpu in range(8))
    findings = gpu_host(
        *(visible(str(n), near_cpus=cpus) for n, cpus in enumerate(near or ((),) * 2)),
        cpus=Cpus(allowed=tuple(range(16)), quota_cores=None, online=16, cores=cores),
    )
    assert [set(place.cpus) for place in gpu_places(findings, ("0", "1"), cap)] == places


def test_places_are_of_the_gpus_that_are_named() -> None:
    findings = gpu_host(visible("0", near_cpus=FIRST), visible("1", near_cpus=SECOND))
    [place] = gpu_places(findings, ("1",), 2)
    assert (place.name, place.cpus) == ("1", (4, 5))
