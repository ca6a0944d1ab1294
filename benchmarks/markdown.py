"""Rows of the tables that the benchmarks print, as Markdown. Pure."""

import math
from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |"


def median(values: Sequence[float]) -> str:
    """Return the median, with the 90 % quantile in brackets; infinity reads "never"."""
    ordered = sorted(values)
    middle, high = ordered[(len(ordered) - 1) // 2], ordered[math.ceil(0.9 * len(ordered)) - 1]
    return f"{_number(middle)} ({_number(high)})"


def _number(value: float) -> str:
    return "never" if value == math.inf else f"{value:.0f}"
