"""Rows of good bars, by the hour."""

import numpy as np

from trainables.market.bars import MIN_BARS

HEADER = "timestamp,open,high,low,close,volume"


def hours(count: int, start: str = "2024-01-01T00:00") -> np.ndarray:
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(1, "h")


def lines(count: int = MIN_BARS) -> list[str]:
    """Good rows; row n stands at index n - 1."""
    return [
        f"{time},{100 + i % 7},{102 + i % 7},{99 + i % 7},{101 + i % 7},{10 + i}"
        for i, time in enumerate(hours(count))
    ]
