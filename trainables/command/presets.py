"""Ways to read the output of popular training scripts, from the table presets.toml. Stdlib only."""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

from cluster.structure import structure
from search_spaces.config import DEVICES
from search_spaces.expression import parse_expression
from trainables.command.readings import Reading, ReadingError, ReadingKind, ReturnLines

AUTO = "auto"
"""The name that stands for every preset whose steps can be computed from the axes."""

_TABLE = Path(__file__).with_name("presets.toml")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A row of the table: a reading, its source, and what it was checked against.

    Lines that other programs print, too, such as any progress bar, are read `by_name_only`. Where
    the script prints a return, `returns` is its pattern; `per_episode`: of one episode each. Where
    others of its project print the same line after other `steps`, the `exception` names them.
    """

    name: str
    kind: ReadingKind
    pattern: str
    unit: str
    source: str
    checked: str
    steps: str | None = None
    exception: str | None = None
    by_clock: bool = False
    by_name_only: bool = False
    returns: str | None = None
    per_episode: bool = False

    @property
    def counts_updates(self) -> bool:
        """Return whether its steps are of an update, which a person may know better."""
        return self.steps is not None and self.kind is not ReadingKind.RATE

    @property
    def reading(self) -> Reading:
        """The row as a reading, with the way to read the return if it has one."""
        lines = None
        if self.returns is not None:
            lines = ReturnLines(pattern=self.returns, per_episode=self.per_episode)
        return Reading(
            kind=self.kind,
            pattern=self.pattern,
            steps=self.steps,
            unit=self.unit,
            preset=self.name,
            by_clock=self.by_clock,
            returns=lines,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Presets:
    preset: tuple[Preset, ...]


@functools.cache
def table() -> tuple[Preset, ...]:
    """Return all rows, in order."""
    return structure(_Presets, tomllib.loads(_TABLE.read_text("utf-8"))).preset


def readings_of(name: str, axes: Collection[str], *, steps: str | None = None) -> list[Reading]:
    """Return the readings of a preset by its name; of all whose steps are known for `auto`.

    `steps` replaces the expression of a preset that counts updates.

    Raises:
        ReadingError: if there is no such preset, its steps need axes that are not there, or it
            counts steps by itself.
    """
    if name == AUTO:
        rows = [row for row in table() if not row.by_name_only]
        readings = [_with_steps(row, steps) for row in rows]
        return [reading for reading in readings if not _missing(reading.steps, axes)]
    row = next((row for row in table() if row.name == name), None)
    if row is None:
        names = ", ".join([AUTO, *(row.name for row in table())])
        raise ReadingError(f"--preset is one of {names}, got {name!r}.")
    if steps is not None and not row.counts_updates:
        raise ReadingError(f"--preset {name} reads the steps themselves: leave --steps out.")
    reading = _with_steps(row, steps)
    if _missing(reading.steps, axes):
        raise ReadingError(without_axes(reading, axes))
    return [reading]


def uncounted(axes: Collection[str]) -> list[Reading]:
    """Return the readings that `auto` leaves out, because these axes do not tell their steps."""
    rows = [row.reading for row in table() if not row.by_name_only]
    return [reading for reading in rows if _missing(reading.steps, axes)]


def without_axes(reading: Reading, axes: Collection[str]) -> str:
    """Return what to do about a preset's reading whose steps these axes do not tell."""
    missing, example = _missing(reading.steps, axes), str(reading.steps)
    for name in missing:
        example = re.sub(rf"\b{name}\b", "128", example)
    is_a_line = reading.kind is ReadingKind.LINE
    row = next(row for row in table() if row.name == reading.preset)
    return (
        f"--preset {reading.preset} counts {reading.steps} {reading.units}"
        f"{' for each line' if is_a_line else ''}, and {' and '.join(missing)} "
        f"{'is no axis' if len(missing) == 1 else 'are no axes'}: give the steps "
        f"{'from one line to the next' if is_a_line else 'of one update'}, as --steps '{example}' "
        f"for {' and '.join(missing)} of 128."
        + ("" if row.exception is None else f" {row.exception}.")
    )


def _with_steps(row: Preset, steps: str | None) -> Reading:
    if steps and row.counts_updates:
        return dataclasses.replace(row.reading, steps=steps)
    return row.reading


def _missing(steps: str | None, axes: Collection[str]) -> list[str]:
    names = frozenset() if steps is None else parse_expression(steps).names
    return sorted(names - {*axes, DEVICES})  # one GPU, where that is no axis
