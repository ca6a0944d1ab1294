"""The state of a box is one word."""

import pytest

from cluster.fleet import status_view
from cluster.fleet.offers.prices import Prices
from cluster.fleet.status import HostStatus
from host_states import HOST, ended, seen


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (seen(), "no job"),
        (seen(job={}), "running"),
        (seen(job={"state": "died"}), "died"),
        (seen(job=ended(0)), "done"),
        (seen(job=ended(1)), "nothing feasible"),
        (seen(job=ended(2)), "failed"),
        (seen(job=ended(130)), "interrupted"),
        (seen(job=ended(130, "stopped")), "stopped"),
        (seen(job=ended(-9, "deadline")), "deadline"),
        (seen(job={}, reachable=False, problem="a: no answer."), "unreachable"),
        (HostStatus(host=HOST, answer=None, age_s=0.0, problem="a: is not set up."), "problem"),
    ],
)
def test_state_is_one_word(one: HostStatus, state: str) -> None:
    assert one.state == state
    assert one.succeeded == (state == "done")
    assert len(status_view.cells(one, Prices())) == len(status_view.COLUMNS)
