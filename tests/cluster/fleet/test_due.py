"""A rent is due to end once nothing needs the box: not its search, nor one that it shares."""

import pytest

from cluster.fleet import due
from cluster.fleet.status import HostStatus
from host_states import ended, on

PART = {"name": "s", "machine_class": "gpu", "number": 1, "count": 1}
FINALS = PART | {"number": None}


@pytest.mark.parametrize(
    ("states", "names"),
    [
        ([on("a", None)], []),
        ([on("a", {})], []),
        ([on("a", ended(0)), on("b", {})], ["a"]),
        ([on("a", ended(1)), on("b", ended(3))], ["a", "b"]),  # nothing feasible, failed
        ([on("a", ended(0, "stopped"))], []),  # a person ended it, and may go on
        ([on("a", ended(0), problem="a: no answer.", reachable=False)], []),
        # What shares a search is needed until its finals have ended.
        ([on("a", ended(0) | {"split": PART}), on("b", {"split": FINALS})], []),
        ([on("a", ended(0) | {"split": PART}), on("b", ended(0) | {"split": FINALS})], ["a", "b"]),
        ([on("a", ended(0) | {"split": PART}), on("b", ended(1) | {"split": FINALS})], ["a", "b"]),
        ([on("a", ended(2) | {"split": PART}), on("b", ended(3) | {"split": FINALS})], ["a", "b"]),
        (
            [
                on("a", ended(0) | {"split": PART}),
                on("b", {"state": "died", "split": FINALS}),
            ],
            ["a", "b"],
        ),
        ([on("a", ended(0) | {"split": PART}), on("b", ended(0) | {"split": PART})], []),
        (
            [
                on("a", ended(0) | {"split": PART}),
                on("b", ended(130, "stopped") | {"split": FINALS}),
            ],
            [],
        ),
        (
            [
                on("a", ended(0) | {"split": PART}),
                on("b", ended(0) | {"split": FINALS}, problem="b: no answer.", reachable=False),
            ],
            [],
        ),
    ],
)
def test_a_rent_is_due_to_end_when_its_search_is_over(
    states: list[HostStatus], names: list[str]
) -> None:
    assert [one.host.name for one in states if due.is_due(one, states)] == names


A, B = ({"split": PART | {"number": number, "count": 2}} for number in (1, 2))


@pytest.mark.parametrize(
    ("states", "is_whole", "names"),
    [
        ([on("a", ended(3) | A), on("b", ended(3) | B)], True, ["a", "b"]),
        ([on("a", ended(3) | A), on("b", ended(3) | B)], False, ["a", "b"]),
        ([on("a", ended(3) | A)], True, ["a"]),
        ([on("a", ended(3) | A)], False, []),  # --only: another box may have the rest
        ([on("a", ended(0) | A), on("b", ended(130, "stopped") | B)], True, []),
    ],
)
def test_a_search_whose_finals_never_begin_is_over_with_the_watch(
    states: list[HostStatus], is_whole: bool, names: list[str]
) -> None:
    found = [
        one.host.name for one in states if due.is_due(one, states, is_last=True, is_whole=is_whole)
    ]
    assert found == names
