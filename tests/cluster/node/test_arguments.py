"""Options that are added to a command line, which may hold another one."""

import pytest

from cluster.node.arguments import gathered, with_options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("python -m x", "python -m x --out a"),
        ("python -m x --b 1 -- train --out z", "python -m x --b 1 --out a -- train --out z"),
        ("x -- y -- z", "x --out a -- y -- z"),
        ("", "--out a"),
    ],
)
def test_options_stand_before_the_command_behind_the_dashes(words: str, expected: str) -> None:
    assert with_options(words.split(), ["--out", "a"]) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--option a=1 --option b=2", "--option a=1 b=2"),
        ("--option a=1 --out x --option b=2 c=3 --json", "--option a=1 b=2 c=3 --out x --json"),
        ("--option=a=1 --option=b=2", "--option a=1 b=2"),
        ("--out x --out y", "--out x --out y"),
        ("--final_space a --final-space b", "--final-space a b"),
        ("--option a=1 -- train --option b", "--option a=1 -- train --option b"),
        ("word --json", "word --json"),
        ("x --option a -o y --option b", "x --option a b -o y"),
        ("--option a -1 --option b", "--option a -1 b"),
    ],
)
def test_an_option_that_is_given_again_keeps_its_earlier_values(words: str, expected: str) -> None:
    assert gathered(words.split(), {"--option", "--final-space"}) == expected.split()
