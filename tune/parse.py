"""Parsers of values on a command line: sizes, times, name=value. Stdlib only, pure."""

import math
import re
from typing import Any

from cluster.errors import UserError
from search_spaces.config import Config, value_text
from search_spaces.space import parse_number


def slug(text: str) -> str:
    """Return a text as part of a folder's or a profile's name: letters, digits, - and _."""
    return re.sub(r"\W+", "-", text).strip("-")


def parse_bytes(option: str, text: str) -> int:
    """Read `8GiB`, `500MB` or `123456` as bytes.

    Raises:
        UserError: if it reads otherwise, or is less than a byte, or infinite.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if match is not None:
        power = " KMGT".index(match[2].upper() or " ")
        size = float(match[1]) * (1024 if match[3] else 1000) ** power
        if 1.0 <= size < math.inf:
            return int(size)
    raise UserError(f"{option} is a size like 8GiB or 500MB, got {text!r}.")


def parse_duration(option: str, text: str) -> float:
    """Read `300`, `300s`, `10m`, `4m30s` or `2h` as seconds.

    Raises:
        UserError: if it reads otherwise or is not positive and finite.
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text.strip())
    hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    seconds = 3600 * hours + 60 * minutes + rest
    if not 0.0 < seconds < math.inf:
        raise UserError(f"{option} is a time like 300, 300s, 10m or 2h, got {text!r}.")
    return seconds


def require_at_least(option: str, value: int | None, least: int) -> None:
    """Refuse a number that is too small; `None` is an option that was not given.

    Raises:
        UserError: naming the option, the least and what was got.
    """
    if value is not None and value < least:
        raise UserError(f"{option} must be at least {least}, got {value}.")


def parse_assignments(option: str, assignments: tuple[str, ...]) -> dict[str, str]:
    """Read `name=value` pairs.

    Raises:
        UserError: if one of them has no name or no equals sign, or two have one name.
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise UserError(f"{option} takes name=value, got {assignment!r}.")
        if name in values:
            raise UserError(f"{option} gives {name} twice: leave one out.")
        values[name] = value
    return values


def parse_options(option: str, assignments: tuple[str, ...]) -> dict[str, Any]:
    """Read `name=value` pairs for a workload: numbers as numbers, true and false as such.

    A number that would be written in another way, as 007 or 1.10, stays text.

    Raises:
        UserError: if one of them has no name or no equals sign, or two have one name.
    """

    def value_of(text: str) -> Any:
        if text in ("true", "false"):
            return text == "true"
        number = parse_number(text)
        is_same = number is not None and text in (value_text(number), str(number))
        return number if is_same else text

    return {n: value_of(text) for n, text in parse_assignments(option, assignments).items()}


def parse_config(option: str, assignments: tuple[str, ...]) -> Config:
    """Read `name=123`, `name=1e-4` and `name=word` pairs.

    Raises:
        UserError: if one of them has no name or no equals sign, or two have one name.
    """
    return {
        name: text if (number := parse_number(text)) is None else number
        for name, text in parse_assignments(option, assignments).items()
    }
