"""The part of a line that a person is shown of it. Pure."""

import re

_LONGEST = 120
_BEFORE = 100


def excerpt(line: str, pattern: re.Pattern[str]) -> str:
    """Return the beginning of a line, or what leads to its match if that lies further on.

    Some programs print all that they know in one line of thousands of characters.
    """
    match = pattern.search(line)
    if match is None or match.end() <= _LONGEST:
        return line[:_LONGEST]
    start = match.end() - _BEFORE
    return f"...{line[start : start + _LONGEST]}"
