"""The return of a command in words: where it will be read, and what was found."""

import pytest

from cluster.errors import UserError
from trainables.command.readings import Reading, ReadingKind, ReturnLines
from tune.command import returns

MEAN = ReturnLines(pattern=r"mean (\S+)")
OTHER = ReturnLines(pattern=r"r=(\S+)", per_episode=True)


def reading(lines: ReturnLines | None, preset: str | None = None) -> Reading:
    return Reading(kind=ReadingKind.COUNT, pattern=r"n (\d+)", preset=preset, returns=lines)


@pytest.mark.parametrize(
    ("known", "sentences"),
    [
        ([None], []),
        ([MEAN], [r"Its return is read from 'mean (\S+)'."]),
        ([MEAN, None, MEAN], [r"Its return is read from 'mean (\S+)'."]),
        ([OTHER], [r"Its return is read from 'r=(\S+)' as a mean over 20 episodes."]),
        ([MEAN, None, OTHER], ["Its return is read as that preset prints it; known of p0, p2."]),
    ],
)
def test_where_it_will_be_read(known: list[ReturnLines | None], sentences: list[str]) -> None:
    readings = [reading(lines, f"p{place}") for place, lines in enumerate(known)]
    assert returns.planned(readings) == sentences


def test_what_was_read_is_shown_with_the_first_lines() -> None:
    lines = [f"mean {number}" for number in range(5)]
    assert returns.found(reading(MEAN), ["x", *lines, "n 4"]) == (
        r"The return is read from 'mean (\S+)', 4 at last, 5 lines, such as:",
        *("  mean 0", "  mean 1", "  mean 2"),
    )


def test_one_known_return_of_several_readings_is_enough() -> None:
    both = [reading(None, "a"), reading(MEAN, "b")]
    assert returns.of_learning(both, None, per_episode=False) == both
    with pytest.raises(UserError, match="no line of the preset a is known to have it"):
        returns.of_learning(both[:1], None, per_episode=False)


@pytest.mark.parametrize(
    ("text", "is_enough"),
    [("--seed={seed}", True), ("{seed * 2 + n}", True), ("seed", False), ("${seed}", False)],
)
def test_a_seed_is_a_seed_in_braces(text: str, is_enough: bool) -> None:
    if is_enough:
        returns.require_seed(["x", text], ["n"])
        return
    with pytest.raises(UserError, match=r"the command has no {seed}"):
        returns.require_seed(["x", text], ["n"])
