"""The state of a fleet as a person reads it."""

from pathlib import Path
from typing import Any

import pytest

from cluster.fleet import status_view
from cluster.fleet.offers.prices import Prices
from host_states import DEADMAN, ended, fired, seen


@pytest.mark.parametrize(
    ("deadman", "note"),
    [
        ({}, ""),
        ({"stops_instance": False}, "dead-man ends the job, not the rent."),
        ({"alive": False}, "DEAD-MAN IS NOT RUNNING"),
        ({"alive": False, "fired": fired(0)}, "DEAD-MAN IS NOT RUNNING"),  # started again since
        ({"alive": False, "stops_instance": False, "fired": fired(None)}, "fired, and has no stop"),
        ({"fired": fired(None)}, "dead-man fired."),
        ({"fired": fired(0)}, "its stop command ran, and the box still answers: still paid."),
        ({"fired": fired(7)}, "fails with exit code 7: still paid."),
    ],
)
def test_dead_man_that_does_not_stop_the_rent_is_told(deadman: dict[str, Any], note: str) -> None:
    assert note in status_view.cells(seen(deadman=DEADMAN | deadman), Prices())[-1]


@pytest.mark.parametrize(
    ("job", "deadman", "left"),
    [
        ({"max_time_s": 59.0}, None, "at most 0 s"),  # it writes its results yet
        ({}, None, "-"),
        ({"max_time_s": 300.0}, None, "at most 4 min 00 s"),
        ({"max_time_s": 3600.0}, DEADMAN, "at most 10 min 00 s"),
        (ended(0), DEADMAN, "-"),
        ({}, DEADMAN | {"alive": False}, "-"),
        ({"max_time_s": 3600.0}, DEADMAN | {"alive": False}, "at most 59 min 00 s"),
        ({}, DEADMAN | {"fired": fired(0), "left_s": -60.0}, "-"),
    ],
)
def test_time_left_is_the_limit_that_comes_first(
    job: dict[str, Any], deadman: dict[str, Any] | None, left: str
) -> None:
    assert status_view.cells(seen(job=job, deadman=deadman), Prices())[6] == left


def test_time_left_of_a_box_that_is_silent_since_is_never_less_than_none() -> None:
    lost = seen(job={}, deadman=DEADMAN, reachable=False, problem="a: no answer.", age_s=14400.0)
    assert status_view.cells(lost, Prices())[6] == "at most 0 s"


def test_cost_goes_on_while_a_box_cannot_be_reached() -> None:
    lost = seen(job={}, reachable=False, problem="a: no answer.", age_s=1800.0)
    assert lost.cost(Prices()) == pytest.approx(2.0)
    assert status_view.cells(lost, Prices())[-1] == "no answer; last seen 30 min 00 s ago"
    assert status_view.money([lost], Prices()) == [
        "a may be up, though it cannot be reached ($2.00 an hour). "
        "To stop paying: vastai destroy instance 1"
    ]


def test_failure_is_told_with_its_last_words() -> None:
    assert status_view.cells(seen(job=ended(2)), Prices())[-1] == "exit code 2: why"


def test_hostile_output_of_a_box_is_no_markup() -> None:
    from rich.console import Console

    console = Console(record=True, width=200, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        console.print(
            status_view.render([seen(job=ended(2) | {"log_tail": ["[red]x[/]"]})], Prices())
        )
    assert "[red]x[/]" in console.export_text()
