"""Refusals that name a row of a file, in one bounded sentence. NumPy only, pure."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from trainables.workload import WorkloadInputError

_MOST_CHARACTERS = 60
_MOST_NAMES = 12
_COLUMN_WIDE = 0.5  # above this share of the rows a fault is one of the column, not of a row


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RowNames:
    """The names of a file's rows in messages: they count from 1, without the header.

    file: its name. under_header: whether the file has a line of names above its rows.
    numbers: [num_rows] row in the file (from 0) of each row at hand; None: all, in order.
    """

    file: str
    under_header: bool = False
    numbers: np.ndarray | None = None

    def name(self, index: int) -> str:
        """Return the name of the row at hand with this index."""
        row = index if self.numbers is None else int(self.numbers[index])
        return f"row {row + 1}" + (" below the header" if self.under_header else "")

    def first(self, chosen: np.ndarray) -> int:
        """Return the index of the chosen row ([num_rows] bool) that stands first in the file."""
        indices = np.flatnonzero(chosen)
        if self.numbers is not None:
            indices = indices[np.argsort(self.numbers[indices])]
        return int(indices[0])

    def take(self, indices: np.ndarray) -> "RowNames":
        """Return the names of these rows alone."""
        numbers = indices if self.numbers is None else self.numbers[indices]
        return dataclasses.replace(self, numbers=numbers)

    def of(self, column: str) -> "CellNames":
        """Return the names of a column's cells in these rows."""
        return CellNames(column=column, rows=self)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CellNames:
    """The names of a column's cells in messages: the column's name, and its rows'."""

    column: str
    rows: RowNames

    def name(self, index: int) -> str:
        """Return the name of the cell of the row at hand with this index."""
        return f"column {listed([self.column])}, {self.rows.name(index)}"

    def unread(self, index: int, value: Any, reason: str) -> WorkloadInputError:
        """Return the error of a cell that cannot be read: its name and value, and why."""
        return WorkloadInputError(f"{self.name(index)}: {shown(value)} {reason}.")

    def refuse_first(
        self,
        bad: np.ndarray,
        reason: str,
        *,
        got: np.ndarray | None = None,
        wide: str = "",
        remedy: str = "correct or drop the row",
    ) -> None:
        """Raise for the first bad cell: its name, its value; `bad` is [num_rows] bool.

        `wide` is what to do where most rows are bad, which no correction of a row would mend.

        Raises:
            WorkloadInputError: if any row is bad.
        """
        count = int(bad.sum())
        if not count:
            return
        index = self.rows.first(bad)
        value = "" if got is None else f", got {got[index]}"
        where = f"{self.name(index)}: {reason}{value}"
        if count > _COLUMN_WIDE * len(bad) and wide:
            raise WorkloadInputError(f"{where}, and so in {count} of {len(bad)} rows; {wide}.")
        like_it = f" ({count} like it)" if count > 1 else ""
        raise WorkloadInputError(f"{where}; {remedy}{like_it}.")


def shown(value: Any) -> str:
    """Return a cell's value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."


def listed(names: Iterable[Any]) -> str:
    """Return names in a row, cut where they are long or many."""
    texts = [str(name) for name in names]
    cut = [
        text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
        for text in texts[:_MOST_NAMES]
    ]
    more = f" and {len(texts) - _MOST_NAMES} more" if len(texts) > _MOST_NAMES else ""
    return ", ".join(cut) + more
