"""A command's configurations and readings in words. Pure."""

import itertools
import shlex
from pathlib import Path

from cluster.pages.units import plural
from search_spaces.config import Config, variables_of
from search_spaces.space import SearchSpace
from trainables.command import presets
from trainables.command.options import CommandOptions, filled_in
from trainables.command.readings import Reading, ReadingKind
from tune.command import returns

_SHOWN = 3


def dry_run(space: SearchSpace, options: CommandOptions) -> list[str]:
    """Return the first commands with their variables, ready for a shell, and how they are read."""
    count = plural(sum(1 for _ in space.configurations()), "configuration")
    lines = [f"{count}: {space.describe()}", ""]
    for config in itertools.islice(space.configurations(), _SHOWN):
        lines += [command_line(config, options, Path("TRIAL_DIR")), ""]
    lines.append("Each runs in a folder of its own, with links to what lies here.")
    source = f"from {reading_text(options.readings[0])}."
    if len(options.readings) > 1:
        names = [str(reading.preset) for reading in options.readings]
        source = f"by the first preset that matches a line, of {', '.join(names)}."
        unknown = [str(reading.preset) for reading in presets.uncounted(space.names)]
        if left_out := sorted(set(unknown) - set(names)):
            source += f" {', '.join(left_out)} would need --steps, the steps of one update."
    return [*lines, f"Its speed is read {source}", *returns.planned(options.readings)]


def command_line(config: Config, options: CommandOptions, folder: Path) -> str:
    """Return a configuration's command as a line for a shell."""
    arguments, variables = filled_in(config, options, folder, {})
    chosen = {**variables_of(config), **variables}
    words = [f"{name}={shlex.quote(value)}" for name, value in chosen.items()]
    return " ".join([*words, shlex.join(arguments)])


def reading_text(reading: Reading) -> str:
    """Return how lines are read, in words."""
    times = "" if reading.steps is None else f" (the number x {reading.steps})"
    how = {
        ReadingKind.RATE: f"{reading.units} per second{times}, as printed",
        ReadingKind.COUNT: f"{reading.units} so far{times}, timed",
        ReadingKind.LINE: f"a line per {reading.steps} {reading.units}, timed",
        ReadingKind.SCALAR: f"the steps of a TensorBoard scalar{times}, in {reading.units}",
        ReadingKind.SECONDS: f"seconds per {reading.steps} {reading.units}, as printed",
    }[reading.kind]
    name = "" if reading.preset is None else f"{reading.preset}: "
    return f"{name}{shlex.quote(reading.pattern)}: {how}"
