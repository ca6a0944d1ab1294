"""A probe of a command: its baseline runs alone for some seconds, before a long search."""

import dataclasses
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.pages import units
from cluster.structure import destructure, revive
from search_spaces.space import SearchSpace
from trainables.command.options import FACTORY, CommandOptions, filled_in
from trainables.command.readings import Reading, ReadingKind, clean, first_to_match
from trainables.workload_source import source_files
from tune.command import returns
from tune.command.excerpt import excerpt
from tune.command.random_steps import random_steps
from tune.preflight import judge, trying
from tune.preflight.runtime import require_devices
from tune.preflight.trying import TriedOut
from tune.prepare import baseline_of, preflight_request
from tune.spec import SearchSpec, Task

_SHOWN_LINES = 3
_READ_CHARS = 2**20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A configuration that ran, the findings in sentences, and the options that they settled.

    `doubts` are of what may make the speed another than training's. `of_return` are the sentences
    about the return, of a search for what learns fastest. `more_threads` is what it took beside
    what is expected of a trial, as one with a Ray of its own does.
    """

    tried: TriedOut
    sentences: tuple[str, ...]
    options: dict[str, Any]
    doubts: tuple[str, ...] = ()
    of_return: tuple[str, ...] = ()
    more_threads: int = 0


def probe(
    spec: SearchSpec,
    task: Task,
    space: SearchSpace,
    given: Mapping[str, Any],
    tell: Callable[[str], None] = trying.tell_who_waits,
) -> Probed:
    """Run the baseline until its speed can be told; `tell` is told how long that takes.

    Raises:
        UserError: if it cannot run, or its speed cannot be read, or no return that is needed.
    """
    preflight = judge.check(preflight_request(spec, task, os.environ))
    config, _ = baseline_of(space, {}, given)
    require_devices(space, config, task.framework, preflight)
    # What a search keeps lies in its folder; of this run nobody would know.
    options = task.options | task.run_options | {"keep_outputs": False}
    timeout_s = spec.trial_timeout_s
    tried = trying.try_out(task.workload, options, config, preflight, timeout_s, tell)
    found = _found(task, tried, learns=spec.learning is not None)
    seen, expected = tried.outcome.peak_threads or 0, preflight.trial_threads or 0
    return dataclasses.replace(found, more_threads=max(0, seen - expected))


def _found(task: Task, tried: TriedOut, *, learns: bool) -> Probed:
    options = revive(CommandOptions, task.options)
    lines = [clean(line) for line in re.split(r"[\r\n]+", tried.log)]
    reading = _reading(options, lines)
    pattern = reading.compiled()
    matched = [line for line in lines if pattern.search(line)]
    of_return = returns.found(reading, lines) if learns else ()
    command, _ = filled_in(tried.config, options, Path("TRIAL_DIR"), {})
    doubts = _doubts(command, tried.measurement.steps_per_second)
    name = "" if reading.preset is None else f" (preset {reading.preset})"
    if reading.kind is ReadingKind.SCALAR:
        source = "a scalar in its TensorBoard files."
    else:
        source = f"{units.plural(len(matched), 'line')}, such as:"
    return Probed(
        tried=tried,
        sentences=(
            *tried.sentences(name),
            f"Read from {shlex.quote(reading.pattern)}, {source}",
            *(f"  {excerpt(line, pattern)}" for line in matched[:_SHOWN_LINES]),
            *of_return,
            f"The command was: {shlex.join(command)}",
            *doubts,
        ),
        options={"readings": [destructure(reading)]},
        doubts=doubts,
        of_return=of_return,
    )


def _reading(options: CommandOptions, lines: list[str]) -> Reading:
    if options.readings[0].kind is ReadingKind.SCALAR:
        return options.readings[0]
    reading = first_to_match(options.readings, lines)
    assert reading is not None, "what was timed was read of a line"
    return reading


def _doubts(command: Sequence[str], steps_per_second: float) -> tuple[str, ...]:
    files = source_files(FACTORY, {"arguments": command})
    given = {Path(word) for word in command}
    named = sorted(files, key=lambda name: files[name] not in given)  # before modules beside them
    texts = {name: _beginning(files[name]) for name in named}
    random = random_steps(shlex.join(command), texts)
    doubt = None if random is None else random.doubt(steps_per_second)
    return () if doubt is None else (doubt,)


def _beginning(file: Path) -> str:
    """Return all of a script, but of a file of data no more than takes a moment to look through."""
    with file.open(errors="replace") as text:
        return text.read(_READ_CHARS)
