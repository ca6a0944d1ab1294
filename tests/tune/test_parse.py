"""Command-line values: sizes, times, assignments."""

import pytest

from cluster.errors import UserError
from machines import GIB
from tune.parse import parse_assignments, parse_bytes, parse_config, parse_duration, parse_options


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", 8 * GIB), ("500MB", 500_000_000), ("1.5 gib", 3 * GIB // 2), ("1234", 1234)],
)
def test_sizes_are_read_with_their_units(text: str, expected: int) -> None:
    assert parse_bytes("--memory-budget", text) == expected


@pytest.mark.parametrize("text", ["", "0", "GiB", "8 bananas", "-3GiB", "0.1B", "9" * 400])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--memory-budget is a size like 8GiB or 500MB, got"):
        parse_bytes("--memory-budget", text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("300s", 300), ("10m", 600), ("4m30s", 270), ("2h", 7200), ("1h30m", 5400),
     ("0.5h", 1800), (" 90 ", 90)],
)  # fmt: skip
def test_times_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration("--max-time", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "10 minutes", "5m4h", "m", "9" * 400])
def test_what_is_no_time_is_refused_with_forms_that_are(text: str) -> None:
    with pytest.raises(UserError, match="--max-time is a time like 300, 300s, 10m or 2h"):
        parse_duration("--max-time", text)


def test_assignments_keep_what_stands_behind_the_first_equals_sign() -> None:
    assert parse_assignments("--option", ("a=1", "b=x=y")) == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize("text", ["a", "=1"])
def test_an_assignment_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(UserError, match=f"--option takes name=value, got '{text}'"):
        parse_assignments("--option", (text,))


def test_a_name_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="--env gives A twice: leave one out"):
        parse_assignments("--env", ("A=1", "B=2", "A=3"))


def test_options_have_types_and_keep_what_is_no_plain_number() -> None:
    texts = ("a=3", "b=1e-4", "c=true", "d=007", "e=1.10", "f=x=y", "g=0.5", "h=nan", "i=-2")
    assert parse_options("--option", texts) == {
        "a": 3,
        "b": "1e-4",
        "c": True,
        "d": "007",
        "e": "1.10",
        "f": "x=y",
        "g": 0.5,
        "h": "nan",
        "i": -2,
    }


def test_tuned_values_are_numbers_or_words() -> None:
    texts = ("a=8", "b=1e-4", "c=adam", "d=", "e=nan")
    assert parse_config("--baseline", texts) == {
        "a": 8,
        "b": 1e-4,
        "c": "adam",
        "d": "",
        "e": "nan",
    }
