"""Bars as other programs export them: files that lie beside the tests, and text made here."""

import datetime
import pathlib
from collections.abc import Callable, Iterable, Sequence

from places import TESTS

EXPORTS = TESTS / "trainables" / "market" / "exports"
HEADER_LINE = "timestamp,open,high,low,close,volume"
NUM_ROWS = 300


def moments(
    step_s: int = 60, start: str = "2024-01-02T14:30:00", count: int = NUM_ROWS
) -> list[datetime.datetime]:
    """Times without a zone, `step_s` seconds apart."""
    first = datetime.datetime.fromisoformat(start)
    return [first + datetime.timedelta(seconds=step_s * i) for i in range(count)]


def epochs(times: Iterable[datetime.datetime]) -> list[int]:
    """Seconds since 1970 of times that are UTC."""
    return [int(time.replace(tzinfo=datetime.UTC).timestamp()) for time in times]


def prices_of(row: int, base: float = 100.0) -> tuple[float, float, float, float]:
    """Open, high, low and close of a row; the first close is `base` + 0.01."""
    opened = base + row % 7 * 0.01
    return opened, opened + 0.03, opened - 0.02, opened + 0.01


def csv_of(
    times: Sequence[object],
    *,
    header: str = HEADER_LINE,
    delimiter: str = ",",
    number: Callable[[float], str] = "{:.2f}".format,
    volume: Callable[[int], str] = lambda row: str(10 + row),
    base: float = 100.0,
) -> str:
    """A CSV of bars with these times as they are, and each price as `number` writes it."""
    lines = [header.replace(",", delimiter)] if header else []
    for row, time in enumerate(times):
        cells = [str(time), *map(number, prices_of(row, base)), volume(row)]
        lines.append(delimiter.join(cells))
    return "\n".join(lines) + "\n"


def saved(folder: pathlib.Path, text: str | bytes, name: str = "bars.csv") -> pathlib.Path:
    """The path of a new file with this content."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
