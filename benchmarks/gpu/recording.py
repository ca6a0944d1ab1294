"""The file of a card: parts, and each part's rows as they were measured."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import atomic
from cluster.structure import StructureError, destructure, revive
from trainables.measurement import OutcomeKind

Row = dict[str, Any]


@dataclasses.dataclass(slots=True, kw_only=True)
class PartRecord:
    """One part: its rows by name, its wall seconds, and what it could not do here, in sentences.

    A part that `is_done` has all rows that this machine can give.
    """

    is_done: bool = False
    wall_s: float = 0.0
    problems: list[str] = dataclasses.field(default_factory=list)
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class CardRecord:
    """All that is known of one class of card, and the machine that it was measured in.

    `rehearsed` rows come from a CPU, and say nothing about a card.
    """

    machine: dict[str, Any]
    machine_class: str
    rehearsed: bool
    parts: dict[str, PartRecord] = dataclasses.field(default_factory=dict)

    def part(self, name: str) -> PartRecord:
        """Return the part of that name; an empty one if there was none."""
        return self.parts.setdefault(name, PartRecord())


_NOT_MEASURED = (OutcomeKind.TIMEOUT, OutcomeKind.ERROR, OutcomeKind.NODE_LOST)


def is_measured(row: Row) -> bool:
    """Return whether a row says something: a limit does, a child that was lost does not."""
    return row.get("kind") not in _NOT_MEASURED and row.get("measured", True) is not None


_FOLDERS = re.compile(r"(?<![\w)])/(?!proc/|sys/)(?:[\w.+-]+/)+(?=[\w.+-])")


def without_folders(row: Row) -> Row:
    """Return a row whose texts name files without the folders that they lie in on this machine."""
    found: Row = json.loads(_FOLDERS.sub("", json.dumps(row)))
    return found


def read(path: Path) -> CardRecord | None:
    """Return the record in a file, `None` if there is no file.

    Raises:
        UserError: if the file holds something else.
    """
    try:
        fields = atomic.read_json(path)
        return None if fields is None else revive(CardRecord, fields)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from error
    except (ValueError, StructureError, TypeError) as error:
        raise UserError(
            f"{path} is no record of a card ({error}); choose another --out."
        ) from error


def write(path: Path, record: CardRecord) -> None:
    """Write the record in one step, one line per row."""
    whole = destructure(record)
    parts = []
    for name, part in whole.pop("parts").items():
        rows = part.pop("rows")
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
        head = json.dumps(part, indent=3)[:-2]
        parts.append(f'  {json.dumps(name)}: {head},\n   "rows": {{\n{lines}\n   }}\n  }}')
    head = json.dumps(whole, indent=1)[:-2]
    text = ",\n".join(parts)
    atomic.write_text(path, f'{head},\n "parts": {{\n{text}\n }}\n}}\n')
