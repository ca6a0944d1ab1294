"""Charts of a search's speeds, over its axes and over its time. Pure.

Where a chart would be empty, a sentence in its place says why.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from cluster.pages import chart, grid, units
from cluster.pages.chart import Chart, Line
from cluster.pages.drawing import ChartAxis
from cluster.pages.elements import Element
from cluster.pages.grid import Heatmap, Square
from cluster.pages.page import note
from cluster.pages.scale import Linear
from search_spaces.config import ConfigKey, config_key
from tune.report.marks import MARKS, causes, names_axis, speed_axis, speed_of, speed_series
from tune.search.candidates import candidates_of
from tune.search.result import SearchResult
from tune.search.trial import EXPLORING, Trial
from tune.summary import outcomes
from tune.summary.trials import unit_of

_UNITS = {
    "num_envs": "environments",
    "vectorized_envs": "environments",
    "num_steps": "steps of each environment",
    "batch_size": "samples",
    "num_epochs": "passes over the samples",
}
"""The units of well-known axes; another axis has its name alone."""


def landscape(result: SearchResult) -> Element:
    """Return a map of speeds over num_envs and num_steps, or the first two axes that vary."""
    trials = [trial for trial in result.trials if trial.outcome is not None]
    axes = _varying(trials)
    if not trials:
        return note("There is no map of speeds: no trial has ended.")
    if not axes:
        return note("There is no map of speeds: all trials had the same values on every axis.")
    if len(axes) == 1:
        return _along(axes[0], trials)
    x, y = ("num_envs", "num_steps") if {"num_envs", "num_steps"} <= set(axes) else axes[:2]
    return _map(x, y, [name for name in axes if name not in (x, y)], trials)


def by_trial(result: SearchResult) -> Element:
    """Return a chart of speeds by trial number, with the best so far."""
    return _progress(
        result,
        title="Speed by trial",
        how="Each trial in its order; whiskers are 95 % intervals.",
        label="trial, number",
        place=lambda trial: float(trial.number),
        scale=lambda values: Linear.over(values, whole=True),
    )


def by_second(result: SearchResult) -> Element:
    """Return a chart of speeds over the time in which trials ran, with the best so far."""
    ends = running_s(result.trials)
    if result.trials and not ends:
        return note("There is no chart of speed over time: the journal has no times of trials.")
    return _progress(
        result,
        title="Speed by time",
        how="Seconds in which a trial ran; a pause between two sessions is left out.",
        label="time with a trial running, s",
        place=lambda trial: ends.get(trial.number),
        scale=lambda values: Linear.over(values, from_zero=True),
    )


def running_s(trials: Iterable[Trial]) -> dict[int, float]:
    """Return, by trial number, the seconds in which any trial had run when that trial ended.

    Trials side by side share their seconds; the time between two sessions does not count.
    """
    spans = sorted(
        (trial.started_at, trial.ended_at, trial.number)
        for trial in trials
        if trial.started_at is not None and trial.ended_at is not None
    )
    ends, total, reached = {}, 0.0, -math.inf
    for start, end, number in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
        ends[number] = total - max(0.0, reached - end)
    return ends


def _map(x: str, y: str, others: Sequence[str], trials: Sequence[Trial]) -> Element:
    columns = sorted({trial.config[x] for trial in trials})
    rows = sorted({trial.config[y] for trial in trials})
    cells: dict[tuple[int, int], list[Trial]] = {}
    for trial in trials:
        place = (columns.index(trial.config[x]), rows.index(trial.config[y]))
        cells.setdefault(place, []).append(trial)
    speeds = _speed_by_config(trials)
    most = max(speeds.values(), default=0.0)
    size, scale = _unit(most)
    squares: dict[tuple[int, int], Square] = {}
    for place, group in cells.items():
        known = [speeds[k] for t in group if (k := config_key(t.config)) in speeds]
        best = max(known, default=None)
        squares[place] = Square(
            share=None if best is None else best / most,
            figure="" if best is None else f"{best / size:.3g}",
            marks=[MARKS[kind] for kind in causes(group)],
            tip=_square_tip(f"{x} {columns[place[0]]}, {y} {rows[place[1]]}", group, best),
        )
    several = f" Each square is the best over {', '.join(others)}." if others else ""
    return grid.render_heatmap(
        Heatmap(
            title=f"Speed over {x} and {y}",
            note=f"Numbers are {scale}{unit_of(trials)}/s, of finals where there were any. "
            f"A dashed square was not tried.{several}",
            x_label=_with_unit(x),
            y_label=_with_unit(y),
            columns=[str(value) for value in columns],
            rows=[str(value) for value in rows],
            squares=squares,
            keys={outcomes.EXPLANATIONS[kind].short: MARKS[kind] for kind in causes(trials)},
        )
    )


def _speed_by_config(trials: Sequence[Trial]) -> dict[ConfigKey, float]:
    """Return each configuration's speed: as in a profile, or as measured if it was slow."""
    slow = {config_key(t.config): m.steps_per_second for t in trials if (m := speed_of(t))}
    return slow | {config_key(c.config): c.steps_per_second for c in candidates_of(trials)}


def _along(axis: str, trials: Sequence[Trial]) -> Element:
    values = sorted({trial.config[axis] for trial in trials})
    return chart.render(
        Chart(
            title=f"Speed over {axis}",
            note="The only axis whose value differs between trials. Whiskers are 95 % intervals.",
            x=names_axis(_with_unit(axis), [str(value) for value in values]),
            y=speed_axis(_highs(trials), unit_of(trials), from_zero=True),
            series=speed_series(trials, lambda trial: float(values.index(trial.config[axis]))),
        )
    )


def _progress(
    result: SearchResult,
    *,
    title: str,
    how: str,
    label: str,
    place: Callable[[Trial], float | None],
    scale: Callable[[list[float]], Linear],
) -> Element:
    trials = [t for t in result.trials if t.outcome is not None and place(t) is not None]
    if not trials:
        return note(f"There is no chart of {title.lower()}: no trial has ended.")
    places = [at for trial in trials if (at := place(trial)) is not None]
    return chart.render(
        Chart(
            title=title,
            note=how,
            x=ChartAxis(label=label, scale=scale(places), tick=lambda value: f"{value:g}"),
            y=speed_axis(_highs(trials), unit_of(trials), from_zero=True),
            series=speed_series(trials, place),
            lines=[
                Line(
                    name="best so far",
                    color="accent",
                    points=best_so_far(trials, place),
                    is_step=True,
                )
            ],
        )
    )


def best_so_far(
    trials: Sequence[Trial], place: Callable[[Trial], float | None]
) -> list[tuple[float, float]]:
    """Return the steps of the fastest explored speed so far; finals do not count."""
    steps: list[tuple[float, float]] = []
    best = 0.0
    for trial in sorted(trials, key=lambda trial: place(trial) or 0.0):
        at = place(trial)
        if trial.measurement is None or trial.stage not in EXPLORING or at is None:
            continue
        best = max(best, trial.measurement.steps_per_second)
        steps.append((at, best))
    if steps:
        steps.append((max(place(trial) or 0.0 for trial in trials), best))
    return steps


def _varying(trials: Sequence[Trial]) -> list[str]:
    """Return the axes that all trials have and on which they differ, in their order."""
    if not trials:
        return []
    return [
        name
        for name in trials[0].config
        if all(name in trial.config for trial in trials)
        and len({trial.config[name] for trial in trials}) > 1
    ]


def _square_tip(place: str, group: Sequence[Trial], best: float | None) -> str:
    speed = (
        "nothing measured" if best is None else f"at best {units.speed(best)} {unit_of(group)}/s"
    )
    failed = [
        f"{outcomes.EXPLANATIONS[kind].short} {count}" for kind, count in causes(group).items()
    ]
    return f"{place}: {', '.join([speed, units.plural(len(group), 'trial'), *failed])}"


def _highs(trials: Sequence[Trial]) -> list[float]:
    return [m.high for trial in trials if (m := speed_of(trial))]


def _with_unit(axis: str) -> str:
    unit = _UNITS.get(axis)
    return axis if unit is None else f"{axis}, {unit}"


def _unit(most: float) -> tuple[float, str]:
    if most >= 1e6:
        return 1e6, "million "
    return (1e3, "thousand ") if most >= 1e3 else (1.0, "")
