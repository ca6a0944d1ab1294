"""The rounds that finals belong to, where some were disturbed, and run again or not."""

import dataclasses

import pytest

from finals_trials import config, measured
from search_spaces.config import config_key
from trainables.measurement import OutcomeKind
from tune.search.rounds import by_round
from tune.search.trial import Stage, Trial


def final(name: str, **changes: object) -> Trial:
    """A final of A, B or C; in lower case a disturbed one."""
    made = measured("ABC".index(name.upper()) + 1, 100.0, stage=Stage.FINAL)
    assert made.outcome is not None
    assert made.outcome.measurement is not None
    ran = dataclasses.replace(made.outcome.measurement, disturbed=name.islower())
    return dataclasses.replace(
        made, outcome=dataclasses.replace(made.outcome, measurement=ran), **changes
    )


def rounds(trials: list[Trial]) -> dict[str, list[int]]:
    found = by_round(trials)
    return {
        name: [number for number, _ in found[config_key(config(place))]]
        for place, name in enumerate("ABC", 1)
        if config_key(config(place)) in found
    }


@pytest.mark.parametrize(
    ("ran", "expected"),
    [
        ("ABC CBA", {"A": [0, 1], "B": [0, 1], "C": [0, 1]}),
        # One that is back in the race runs the rounds that it missed.
        ("AB BA AB C C", {"A": [0, 1, 2], "B": [0, 1, 2], "C": [0, 1]}),
        # Run again, as the last of its round.
        ("aBCA CBA", {"A": [0, 0, 1], "B": [0, 1], "C": [0, 1]}),
        # Never quiet in the first round: what runs then is of the second one, first or last there.
        ("aBaa BA AB", {"A": [0, 0, 0, 1, 2], "B": [0, 1, 2]}),
        ("Baaa AB BA", {"A": [0, 0, 0, 1, 2], "B": [0, 1, 2]}),
        ("aBaa Ba AB", {"A": [0, 0, 0, 1, 2], "B": [0, 1, 2]}),
        # Told as disturbed by the canary once the second round had run, too late to repeat.
        ("aBC CBA A", {"A": [0, 1, 2], "B": [0, 1], "C": [0, 1]}),
        ("abC CBA BA", {"A": [0, 1, 2], "B": [0, 1, 2], "C": [0, 1]}),
        # The repeats are used up by others, so that a disturbed one of B counts.
        ("abAb BA", {"A": [0, 0, 1], "B": [0, 0, 1]}),
    ],
)
def test_the_round_of_a_final_is_that_of_those_beside_it(
    ran: str, expected: dict[str, list[int]]
) -> None:
    assert rounds([final(name) for name in ran.replace(" ", "")]) == expected


def test_a_lost_final_has_the_round_of_the_one_that_repeats_it() -> None:
    lost = final("A")
    assert lost.outcome is not None
    lost = dataclasses.replace(
        lost,
        outcome=dataclasses.replace(lost.outcome, kind=OutcomeKind.NODE_LOST, measurement=None),
    )
    assert rounds([lost, *map(final, "BAAB")]) == {"A": [0, 0, 1], "B": [0, 1]}


def test_what_only_began_of_the_next_round_says_nothing_of_the_round_of_a_repeat() -> None:
    """Side by side, the second round begins while the first still runs on another GPU."""
    spans = [
        ("a", 0.0, 9.0),
        ("B", 0.0, 5.0),
        ("B", 5.0, 11.0),
        ("A", 9.0, 15.0),
        ("A", 15.0, 20.0),
    ]
    trials = [final(name, started_at=began, ended_at=end) for name, began, end in spans]
    assert rounds(trials) == {"A": [0, 0, 1], "B": [0, 1]}
