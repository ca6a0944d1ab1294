"""Options that are added to a command line, which may hold another one."""

import pytest

from cluster.node.arguments import with_options


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
