"""All trials of a search as one sortable table. Pure."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from cluster.pages import page, table
from cluster.pages.elements import Content
from cluster.pages.table import Cell, Column
from search_spaces.config import ConfigKey, config_key, config_text, value_text
from trainables.measurement import Measurement, Outcome, Phase
from tune.report.marks import speed_of
from tune.run_folder.folder import RunFolder
from tune.search.result import SearchResult
from tune.search.trial import Trial
from tune.summary.trials import fixed_values, outcome_label, reason, unit_of

_Columns = list[tuple[Column, Callable[[Trial, Outcome], Cell]]]


def render(result: SearchResult, names: Mapping[ConfigKey, str]) -> list[Content]:
    """Return the table of ended trials; `names` are those of configurations, as `fastest`."""
    ended = [(trial, trial.outcome) for trial in result.trials if trial.outcome is not None]
    if not ended:
        return [page.note("No trial has ended.")]
    trials = [trial for trial, _ in ended]
    fixed = fixed_values(trials)
    axes = [
        axis for axis in dict.fromkeys(a for t in trials for a in t.config) if axis not in fixed
    ]
    words = {a for t in trials for a, value in t.config.items() if isinstance(value, str)}
    columns = _columns(axes, words, names, unit_of(trials))
    every = f" Every trial: {config_text(fixed)}." if fixed else ""
    return [
        page.note(f"A click on a heading sorts; a trial's number opens its log.{every}"),
        table.sortable(
            [column for column, _ in columns],
            [[cell(trial, outcome) for _, cell in columns] for trial, outcome in ended],
            chosen=[n for n, trial in enumerate(trials) if config_key(trial.config) in names],
        ),
    ]


def _columns(
    axes: list[str], words: set[str], names: Mapping[ConfigKey, str], unit: str
) -> _Columns:
    def axis_column(axis: str) -> tuple[Column, Callable[[Trial, Outcome], Cell]]:
        def cell(trial: Trial, outcome: Outcome) -> Cell:
            value = trial.config.get(axis)
            if isinstance(value, str) or value is None:
                return Cell(text=value or "")
            return Cell(text=value_text(value), value=value)

        return Column(name=axis, is_number=axis not in words), cell

    return [
        (Column(name="trial", is_number=True), _log),
        *map(axis_column, axes),
        _number(f"{unit}/s", ",.0f", lambda t, _: _of(t, lambda m: m.steps_per_second)),
        _number("± %", ".1f", lambda t, _: _of(t, _relative_side)),
        _number("others' CPUs", ".2f", lambda t, _: _of(t, lambda m: m.others_cpus)),
        _text("outcome", lambda trial, _: outcome_label(trial)),
        _text("stage", lambda trial, _: trial.stage.value),
        _text("is", lambda trial, _: names.get(config_key(trial.config), "")),
        _number("predicted MiB", ",.0f", lambda _, outcome: _mib(outcome.predicted_device_bytes)),
        _number("device MiB", ",.0f", lambda t, _: _of(t, lambda m: _mib(m.peak_device_bytes))),
        _number("host MiB", ",.0f", lambda _, outcome: _mib(outcome.peak_host_bytes)),
        _number("threads", "d", lambda _, outcome: outcome.peak_threads),
        _number("thread cap", "d", lambda _, outcome: outcome.thread_cap or None),
        _number("compile s", ".1f", lambda _, o: (o.seconds_by_phase or {}).get(Phase.COMPILE)),
        _number("time s", ".1f", lambda _, outcome: outcome.wall_s),
        (
            Column(name="why", is_long=True),
            lambda trial, o: Cell(text=o.message if reason(trial) else ""),
        ),
    ]


def _number(
    name: str, form: str, value_of: Callable[[Trial, Outcome], float | None]
) -> tuple[Column, Callable[[Trial, Outcome], Cell]]:
    def cell(trial: Trial, outcome: Outcome) -> Cell:
        value = value_of(trial, outcome)
        return Cell(text="" if value is None else format(value, form), value=value)

    return Column(name=name, is_number=True), cell


def _text(
    name: str, text_of: Callable[[Trial, Outcome], str]
) -> tuple[Column, Callable[[Trial, Outcome], Cell]]:
    return Column(name=name), lambda trial, outcome: Cell(text=text_of(trial, outcome))


def _log(trial: Trial, outcome: Outcome) -> Cell:
    """Return the trial's number, with a link to its log in the page's folder."""
    log = RunFolder(Path()).trial_log(trial.number, trial.stage)
    link = None if outcome.log is None else quote(log.as_posix())
    return Cell(text=str(trial.number), value=trial.number, link=link)


def _of(trial: Trial, figure: Callable[[Measurement], float | None]) -> float | None:
    measured = speed_of(trial)
    return None if measured is None else figure(measured)


def _relative_side(measured: Measurement) -> float | None:
    """Return the wider side of the interval in percent; one block alone has no interval."""
    speed = measured.steps_per_second
    side = max(measured.high - speed, speed - measured.low)
    return 100 * side / speed if side > 0 else None


def _mib(number_bytes: int | None) -> float | None:
    return None if number_bytes is None else number_bytes / 2**20
