"""search.json: what a search was asked for, on which machine, and how it ended.

Written when a search starts, so that a report can be made of one that was killed; the trials
themselves are in the journal.
"""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.node import atomic
from trainables.measurement import from_dict
from tune.run_folder.folder import RunFolder
from tune.search.result import Kind, SearchResult
from tune.spec import SpecError, Task
from tune.summary.conclusion import Context

SCHEMA_VERSION = 1

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a search ended, and where its profiles went, by kind. Seconds are of the last session."""

    stop_reason: str
    partial: bool
    wall_s: float
    profiles: dict[str, str]

    @classmethod
    def of(cls, result: SearchResult, profiles: Mapping[Kind, Path]) -> "Ending":
        """The end of a search that found `result`."""
        return cls(
            stop_reason=result.stop_reason,
            partial=result.partial,
            wall_s=result.wall_s,
            profiles={kind.value: str(path) for kind, path in profiles.items()},
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A search but for its trials. `machine` is what the preflight said, by heading, as read.

    `first_trial` numbers the first trial of the last session: 0 unless the search was resumed.
    `ending` is `None` while the search runs, and for ever if it was killed.
    """

    command: str
    started_at: str
    task: Task
    context: Context
    space: dict[str, list[int]]
    baseline: dict[str, int]
    first_trial: int
    machine: dict[str, list[tuple[str, str]]]
    ending: Ending | None = None


def command_line(arguments: Sequence[str]) -> str:
    """The command of this process, to be repeated: credentials in URLs are left out."""
    return _CREDENTIALS.sub("", shlex.join(["python", *arguments[1:]]))


def write(folder: RunFolder, record: RunRecord) -> None:
    """Write the record.

    Raises:
        OSError: if that cannot be done.
    """
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(record)}
    atomic.write_text(folder.record, json.dumps(document, indent=1) + "\n")


def end(folder: RunFolder, ending: Ending) -> None:
    """Add to the record how the search ended."""
    write(folder, dataclasses.replace(read(folder), ending=ending))


def read(folder: RunFolder) -> RunRecord:
    """Read a search's record.

    Raises:
        SpecError: if there is none, or it cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads(folder.record.read_text(encoding="utf-8"))
        version = document.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise SpecError(
                f"{folder.record} is of schema version {version}; this reads {SCHEMA_VERSION}."
            )
        return from_dict(RunRecord, document)
    except FileNotFoundError as error:
        raise SpecError(
            f"{folder.path} holds no search.json, so it is no folder of a search; "
            "they lie in runs/, or where --out said."
        ) from error
    except SpecError:
        raise
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise SpecError(f"{folder.record} cannot be read: {error!r}.") from error
