"""The table of trials on a terminal, while they run and after. Pure."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.pages import units
from search_spaces.config import config_cell, config_text, num_minibatches
from trainables.measurement import Phase
from tune.screen.tally import Tally
from tune.search.trial import Trial
from tune.summary.trials import measured_speed, outcome_label, reason, unit_of

_MOST_LIVE_ROWS = 15
_ROWS_AROUND = 11  # lines at most of heading, notes, reasons and the time
_MOST_LIVE_REASONS = 3
WIDE = 96
"""The least width with a column for the outcome; a narrower table has it in place of the speed."""

_ONGOING = {
    Phase.START: "starting",
    Phase.IMPORT: "importing",
    Phase.BUILD: "building",
    Phase.COMPILE: "compiling",
    Phase.WARMUP: "warming up",
    Phase.MEASURE: "measuring",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The state of a trial that has not ended: its phase, and the seconds since it started."""

    phase: Phase
    seconds: float


def live_rows(height: int) -> int:
    """Return the number of rows of a live table; a terminal crops what is taller than itself."""
    return min(_MOST_LIVE_ROWS, max(1, height - _ROWS_AROUND))


def render(
    trials: Sequence[Trial],
    running: Mapping[int, Running],
    *,
    width: int,
    most_rows: int | None = None,
    tally: Tally | None = None,
) -> RenderableType:
    """Return the table with the reasons below it; with `most_rows`, live, of the last trials.

    A `tally` that is given each time spares it to read all of them again.
    """
    tally = tally or Tally()
    tally.read(trials)
    live = most_rows is not None
    last = (trial for trial in reversed(trials) if trial.was_run)
    shown = list(itertools.islice(last, most_rows))[::-1]
    below: list[RenderableType] = []
    if hidden := len(trials) - tally.num_excluded - len(shown):
        below.append(Text(f"{units.plural(hidden, 'earlier trial')} not shown", style="dim"))
    if excluded := tally.num_excluded:
        text = (
            f"{units.plural(excluded, 'configuration')} not run: predicted over the memory budget"
        )
        below.append(Text(text, style="dim"))
    reasons = [why for trial in shown if (why := reason(trial))]
    below += [  # a live line may be cropped, as it is printed in full at the end
        Text(why, style="yellow", no_wrap=live, overflow="ellipsis")
        for why in (reasons[-_MOST_LIVE_REASONS:] if live else reasons)
    ]
    fixed = tally.fixed
    if fixed:
        below.append(Text(f"every trial: {config_text(fixed)}", style="dim"))
    return Group(_table(shown, running, set(fixed), tally.best_number, width), *below)


def _table(
    trials: Sequence[Trial],
    running: Mapping[int, Running],
    fixed: set[str],
    best: int | None,
    width: int,
) -> Table:
    wide = width >= WIDE
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("stage", no_wrap=True)
    sizes = all(num_minibatches(trial.config) for trial in trials)
    table.add_column("envs x steps / batch" if sizes else "configuration", overflow="fold")
    if wide:
        table.add_column("outcome", no_wrap=True)
    table.add_column(f"{unit_of(trials)}/s", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("threads", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for trial in trials:
        now = running.get(trial.number) if trial.outcome is None else None
        label = _ONGOING[now.phase] if now else outcome_label(trial)
        speed = measured_speed(trial.outcome)
        if not wide and trial.measurement is None:
            speed = label
        outcome = trial.outcome
        seconds = outcome.wall_s if outcome else now.seconds if now else None
        threads = outcome.peak_threads if outcome else None
        cells = (
            str(trial.number),
            trial.stage.value,
            config_cell(trial.config, fixed),
            *([label] if wide else []),
            speed,
            units.size(trial.device_bytes),
            "-" if threads is None else str(threads),
            "-" if seconds is None else units.duration(seconds),
        )
        # An axis may have words like [tanh], which are no markup.
        table.add_row(*map(Text, cells), style=_style(trial, best))
    return table


def _style(trial: Trial, best: int | None) -> str:
    if trial.outcome is None:
        return "cyan"
    if trial.number == best:
        return "bold green"
    return "" if trial.measurement else "dim"
