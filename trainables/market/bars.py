"""Price bars: read from a file, validated, and hashed. NumPy and pyarrow only, no jax.

The parent process reads the file with this module before any trial starts, so that a bad file is
refused with one clear sentence. Each trial reads it again.
"""

import dataclasses
import hashlib
import lzma
import pathlib
import zipfile
import zlib

import numpy as np
import pyarrow as pa

from trainables.market.reading import zones
from trainables.market.reading.columns import PRICES
from trainables.market.reading.content import find_content
from trainables.market.reading.reader import read_rows
from trainables.market.reading.text import TextTable
from trainables.market.reading.typed import TypedTable
from trainables.workload import WorkloadInputError

MIN_BARS = 256
"""Least bars of a file: the slowest indicator's warm-up, one window, and some bars to trade."""

_DAMAGE = (
    pa.lib.ArrowException, OSError, EOFError, UnicodeError, lzma.LZMAError, zlib.error,
    zipfile.BadZipFile, NotImplementedError,
)  # fmt: skip
"""Errors of readers about what they are given; the last is of methods of packing."""
_MOST_REASON = 160


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Price bars in time order, as they were read; never NaN.

    time: [num_bars] datetime64[ms], UTC, strictly increasing.
    open, high, low, close, volume: [num_bars] float64.
    source: where they came from, in words for a person.
    zone: how the file's times were UTC: by a zone of their own, or by `--timezone`; `None` if they
    had none and were taken for it. notes: what a person should know of the reading, as sentences.
    """

    time: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    source: str
    zone: str | None = "UTC"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time)

    def sha256(self) -> str:
        """Hash of the values: the same for the same bars, whatever file format they came in."""
        digest = hashlib.sha256(self.time.astype("datetime64[ms]").astype("<i8").tobytes())
        for name in (*PRICES, "volume"):
            digest.update(getattr(self, name).astype("<f8").tobytes())
        return digest.hexdigest()


def load_bars(
    path: str | pathlib.Path, *, timezone: str | None = None, symbol: str | None = None
) -> Bars:
    """Read a CSV, Parquet or Feather file of bars, packed or not, and validate every row.

    Times: ISO 8601 and whatever cannot be mistaken, digits of the calendar, or a count since 1970.
    Those without a zone are of `timezone`, of UTC without it. Files from new to old are turned
    round. `symbol` chooses one of several instruments.

    Raises:
        WorkloadInputError: what is wrong, in which row and column (rows count from 1, without the
            header), and what to do.
    """
    path = pathlib.Path(path)
    if timezone is not None:
        zones.require_zone(timezone)
    try:
        content = find_content(path)
        table = TextTable.of(content) if content.kind == "text" else TypedTable.of(content)
        read = read_rows(table, timezone=timezone, symbol=symbol)
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:_MOST_REASON]
        raise WorkloadInputError(
            f"{path.name} is not a readable CSV, Parquet or Feather file: {reason}; "
            "export it again."
        ) from error
    if len(read.time) < MIN_BARS:
        raise WorkloadInputError(
            f"{path.name} has {len(read.time)} rows, an episode needs at least {MIN_BARS}; "
            "give a longer history."
        )
    return Bars(
        time=read.time,
        open=read.values["open"],
        high=read.values["high"],
        low=read.values["low"],
        close=read.values["close"],
        volume=read.values["volume"],
        source=path.name,
        zone=read.zone,
        notes=read.notes,
    )
