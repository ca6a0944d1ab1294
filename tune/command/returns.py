"""The return of a command, by which its learning is judged: where it is read, and what was found.

Pure.
"""

import dataclasses
import shlex
from collections.abc import Sequence

from cluster.errors import UserError
from cluster.pages import units
from trainables.command import template
from trainables.command.readings import Reading, ReturnLines
from trainables.command.returns import SMOOTHED_EPISODES, ReturnReader
from tune.command.excerpt import excerpt

_SHOWN_LINES = 3


def of_learning(
    readings: Sequence[Reading], own: str | None, *, per_episode: bool
) -> list[Reading]:
    """Return the readings with their returns: all with a person's `own` pattern, if there is one.

    Raises:
        UserError: if that pattern cannot be used, or none is known of any of them.
    """
    if own is not None:
        lines = ReturnLines(pattern=own, per_episode=per_episode)
        lines.compiled()
        return [dataclasses.replace(reading, returns=lines) for reading in readings]
    if all(reading.returns is None for reading in readings):
        require_known(readings[0])
    return list(readings)


def require_known(reading: Reading) -> ReturnLines:
    """Return the way to read the return.

    Raises:
        UserError: if there is none.
    """
    if reading.returns is None:
        known = "the speed alone is read by --" + reading.kind
        if reading.preset is not None:
            known = f"no line of the preset {reading.preset} is known to have it"
        raise UserError(
            f"--objective learning needs the return, and {known}: give --return, a regular "
            "expression whose group is the mean return, as in --return 'return: (\\S+)'."
        )
    return reading.returns


def require_seed(texts: Sequence[str], axes: Sequence[str]) -> None:
    """Require that the command takes the seed.

    Raises:
        UserError: if {seed} is nowhere in it.
    """
    if not any("seed" in template.names_in(text, [*axes, "seed"]) for text in texts):
        raise UserError(
            "--objective learning trains with several seeds, and the command has no {seed}, so "
            "that all would be one: write {seed} where it takes its seed, as in --seed {seed}, or "
            "give --learn-seeds 1."
        )


def found(reading: Reading, lines: Sequence[str]) -> tuple[str, ...]:
    """Return what was read of the lines of a run in sentences, with some of those lines."""
    pattern = require_known(reading)
    reader = ReturnReader(pattern)
    means = [(line, mean) for line in lines if (mean := reader.hear(line)) is not None]
    source = shlex.quote(pattern.pattern)
    if not means:
        return (
            f"No line had a return yet, by {source}: if the script prints it in other words, give "
            "--return.",
        )
    return (
        f"The return is read from {source}{_of_episodes(pattern)}, {means[-1][1].value:.4g} at "
        f"last, {units.plural(len(means), 'line')}, such as:",
        *(f"  {excerpt(line, pattern.compiled())}" for line, _ in means[:_SHOWN_LINES]),
    )


def planned(readings: Sequence[Reading]) -> list[str]:
    """Return where the return will be read, in sentences; none where learning is not judged."""
    known = [reading for reading in readings if reading.returns is not None]
    patterns = {reading.returns for reading in known}
    if len(patterns) > 1:
        names = ", ".join(str(reading.preset) for reading in known)
        return [f"Its return is read as that preset prints it; known of {names}."]
    return [
        f"Its return is read from {shlex.quote(lines.pattern)}{_of_episodes(lines)}."
        for lines in patterns
        if lines is not None
    ]


def _of_episodes(lines: ReturnLines) -> str:
    return f" as a mean over {SMOOTHED_EPISODES} episodes" if lines.per_episode else ""
