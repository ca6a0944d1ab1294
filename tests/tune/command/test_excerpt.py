"""The part of a line that a person is shown."""

import re

import pytest

from tune.command.excerpt import excerpt

KNOWN = "{'timers': {" + "'x': 0.1, " * 40
LONG = KNOWN + "'steps': 257.0, " + "'y': 0.2, " * 900


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("steps': 4", "steps': 4"),
        ("nothing", "nothing"),
        ("'steps': 4, " + "z" * 300, "'steps': 4, " + "z" * 108),
        ("-" * 114 + "'steps': 257.0", "..." + "-" * 88 + "'steps': 257.0"),
        (LONG, f"...{LONG[len(KNOWN) - 88 :][:120]}"),
    ],
)
def test_the_match_is_in_what_is_shown(line: str, shown: str) -> None:
    assert excerpt(line, re.compile(r"steps': (\d+)")) == shown
    assert "257" not in line or "'steps': 257.0" in shown
