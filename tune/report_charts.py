"""A search as charts: what was tried, what it took, what it gave. Pure.

A chart that would be empty is not drawn; a sentence stands in its place and says why.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from pages import chart, grid
from pages.chart import Axis, Chart, Level, Line, Mark, Point, Series
from pages.elements import Element
from pages.grid import Grid, Part, Square, Stack
from pages.page import note
from pages.scale import Linear, Log, Ordinal, short
from trainables.measurement import Measurement, OutcomeKind, Phase
from tune import finals, trials_view, words
from tune.conclusion import Context
from tune.objective import Objective, score
from tune.result import EXPLORING, SearchResult, Trial

_MEASURED = frozenset({OutcomeKind.COMPLETED, OutcomeKind.SLOW})
_SPEED = "env steps/s"
_MARKS: Mapping[str, Mark] = {
    OutcomeKind.DEVICE_MEMORY: Mark.CROSS,
    "excluded": Mark.PLUS,
    OutcomeKind.HOST_MEMORY: Mark.SQUARE,
    OutcomeKind.THREAD_LIMIT: Mark.TRIANGLE,
    OutcomeKind.UNSTABLE: Mark.VALLEY,
    OutcomeKind.TIMEOUT: Mark.HOURGLASS,
    OutcomeKind.INVALID: Mark.MINUS,
    OutcomeKind.ERROR: Mark.SLASH,
    OutcomeKind.NODE_LOST: Mark.BAR,
}
"""What a trial without a speed is drawn as, by its cause."""

PHASES: Mapping[str, tuple[str, str]] = {
    Phase.START: ("start", "c1"),
    Phase.IMPORT: ("import", "c2"),
    Phase.BUILD: ("build", "c3"),
    Phase.COMPILE: ("compile", "c4"),
    Phase.WARMUP: ("warm-up", "c5"),
    Phase.MEASURE: ("measure", "c6"),
}
"""A phase's label and colour."""

OTHER = Part(name="other", color="c7")


def speed_of(trial: Trial) -> Measurement | None:
    """The speed of a trial that has one, even if it was stopped as slow."""
    outcome = trial.outcome
    return outcome.measurement if outcome is not None and outcome.kind in _MEASURED else None


def landscape(result: SearchResult) -> Element:
    """Env steps/s over the two axes that a configuration is called by first."""
    trials = [trial for trial in result.trials if trial.outcome is not None]
    axes = _varying(trials)
    if not axes:
        return note("There is no map of speeds: all trials had the same values on every axis.")
    if len(axes) == 1:
        return _along(axes[0], trials)
    x, y = ("num_envs", "num_steps") if {"num_envs", "num_steps"} <= set(axes) else axes[:2]
    return _map(x, y, [name for name in axes if name not in (x, y)], trials)


def memory(result: SearchResult, context: Context) -> Element:
    """Bytes predicted against bytes measured, with the budgets."""
    trials = [trial for trial in result.trials if trial.outcome is not None]
    predicted = [(t, t.outcome.predicted_device_bytes) for t in trials if t.outcome is not None]
    known = [(trial, number) for trial, number in predicted if number]
    if not known:
        return note(
            "There is no chart of memory: no trial's program said how many bytes it needs "
            "(a workload's compile() may)."
        )
    on_device = any(_device_peak(trial) for trial, _ in known)
    measured = _device_peak if on_device else _host_peak
    budget = context.device_budget_bytes if on_device else context.host_budget_bytes
    what = "device memory" if on_device else "host memory of the trial's processes"
    levels = [
        Level(
            name=f"budget for device memory {words.size(context.device_budget_bytes)}",
            value=context.device_budget_bytes,
            is_vertical=True,
        ),
        Level(name=f"budget for the measured {words.size(budget)}", value=budget),
    ]
    across = [*(number for _, number in known), context.device_budget_bytes]
    up = [*(peak for trial, _ in known if (peak := measured(trial))), budget]
    both = [*across, *up] if on_device else None
    x, y = Log.over(both or across, base=2), Log.over(both or up, base=2)
    by_cause = _by_cause(known, measured)
    same = Line(
        name="measured as predicted",
        color="quiet",
        points=[(x.low, x.low), (x.high, x.high)] if on_device else [],
    )
    return chart.render(
        Chart(
            title="Memory predicted and measured",
            note=_memory_note(known, on_device=on_device),
            x=Axis(label="device memory as compiled or predicted", scale=x, tick=_bytes),
            y=Axis(label=f"measured: {what}", scale=y, tick=_bytes),
            series=by_cause,
            lines=[same],
            levels=levels,
        )
    )


def by_trial(result: SearchResult) -> Element:
    """Env steps/s of each trial in order, with the best so far."""
    return _progress(
        result,
        title="Speed by trial",
        how="Each trial in its order; whiskers are 95 % intervals.",
        label="trial",
        place=lambda trial: float(trial.number),
        scale=lambda values: Linear.over(values, whole=True),
    )


def by_second(result: SearchResult) -> Element:
    """Env steps/s of each trial over the time that trials ran, with the best so far."""
    ends = running_s(result.trials)
    if not ends:
        return note("There is no chart of speed over time: the journal has no times of trials.")
    return _progress(
        result,
        title="Speed by time",
        how="Seconds in which a trial ran; the pause before a --resume is left out.",
        label="seconds of trials, s",
        place=lambda trial: ends.get(trial.number),
        scale=lambda values: Linear.over(values, from_zero=True),
    )


def learning(result: SearchResult) -> Element:
    """Env steps/s against what a sample teaches, with the profiles and the Pareto front."""
    candidates = finals.summarize(result.trials)
    if not candidates:
        return note("There is nothing to weigh speed against: no configuration was measured.")
    noise_scale = candidates[0].noise_scale
    if noise_scale is None:
        return note(
            "Speed is not weighed against learning: no trial measured a gradient noise scale "
            "(a workload's health() may report gradient_noise_scale)."
        )
    if any("batch_size" not in candidate.config for candidate in candidates):
        return note("Speed is not weighed against learning: that needs an axis named batch_size.")
    names: dict[finals.Key, list[str]] = {}
    for kind, chosen in result.chosen.items():
        names.setdefault(finals.key(chosen.config), []).append(kind.value)
    points = []
    for candidate in candidates:
        share = score(
            Objective.BALANCED,
            steps_per_second=1.0,
            batch_size=candidate.config["batch_size"],
            noise_scale=noise_scale,
        )
        speed = candidate.steps_per_second
        tip = (
            f"{words.sizes(candidate.config)}: {words.speed(speed)} {_SPEED}, "
            f"{100 * share:.0f} % learned per sample"
        )
        name = ", ".join(names.get(finals.key(candidate.config), [])) or None
        points.append(Point(x=100 * share, y=speed, tip=tip, name=name))
    front = pareto_front([(point.x, point.y) for point in points if point.y is not None])
    chosen_points = [point for point in points if point.name]
    return chart.render(
        Chart(
            title="Speed against learning per sample",
            note=f"A gradient step on B samples learns 1 / (1 + B / {noise_scale:,.0f}) of the "
            "most per sample; the number is the gradient noise scale measured here. Up and right "
            "is better.",
            x=Axis(
                label="learning per sample, % of the most possible",
                scale=Linear.over(point.x for point in points),
                tick=lambda value: f"{value:g}",
            ),
            y=_speed_axis([point.y for point in points if point.y is not None]),
            series=[
                Series(name="configuration", mark=Mark.CIRCLE, color="accent", points=points),
                Series(
                    name="has a profile",
                    mark=Mark.TARGET,
                    color="proof",
                    points=[Point(x=p.x, y=p.y, tip=f"{p.name}: {p.tip}") for p in chosen_points],
                ),
            ],
            lines=[Line(name="Pareto front", color="proof", points=front)],
        )
    )


def threads(result: SearchResult, context: Context) -> Element:
    """Peak OS threads by phase, against the room for them."""
    seen: dict[str, list[tuple[int, int]]] = {}
    for trial in result.trials:
        for phase, count in ((trial.outcome and trial.outcome.threads_by_phase) or {}).items():
            if count > 0:
                seen.setdefault(phase, []).append((count, trial.number))
    phases = [phase for phase in PHASES if phase in seen]
    if not phases:
        return note("There is no chart of threads: no trial was seen alive in any phase.")
    points = []
    for index, phase in enumerate(phases):
        most, number = max(seen[phase])
        least, _ = min(seen[phase])
        label = PHASES[phase][0]
        points.append(
            Point(
                x=float(index),
                y=float(most),
                low=float(least),
                high=float(most),
                name=f"{most}",
                tip=f"{label}: {least} to {most} threads at most, the most in trial {number}",
            )
        )
    room = context.thread_room
    levels = [] if not room else [Level(name=f"room for {room:,} threads", value=room)]
    values = [*(value for point in points for value in (point.low, point.high) if value)]
    no_limit = "" if room else " Nothing limits threads here."
    return chart.render(
        Chart(
            title="Threads by phase",
            note="The most that a trial's processes had at once, over all trials, seen from "
            f"outside every 0.05 to 0.2 s; whiskers reach down to the least.{no_limit}",
            x=_names_axis("phase of a trial", [PHASES[phase][0] for phase in phases]),
            y=Axis(
                label="OS threads (logarithmic)",
                scale=Log.over([*values, *(level.value for level in levels)], base=10),
                tick=short,
            ),
            series=[Series(name="most", mark=Mark.DIAMOND, color="accent", points=points)],
            levels=levels,
        )
    )


def time_by_trial(result: SearchResult) -> Element:
    """Where each trial's time went."""
    trials = [t for t in result.trials if t.outcome is not None and t.outcome.wall_s > 0]
    if not trials:
        return note("There is no chart of time: no trial was run.")
    values = [list(seconds(trial).values()) for trial in trials]
    walls = [sum(column) for column in values]
    return grid.render_stack(
        Stack(
            title="Time by trial",
            note="From the start of a trial's process to the end of its last one. Other: the end "
            "of the process, and attempts at a higher thread cap.",
            x=_names_axis("trial", [str(trial.number) for trial in trials]),
            y=Axis(
                label="seconds, s",
                scale=Linear.over(walls, from_zero=True),
                tick=lambda value: f"{value:g}",
            ),
            parts=[*(Part(name=name, color=color) for name, color in PHASES.values()), OTHER],
            values=values,
            tips=[f"{_head(t)}: {words.duration(w)}" for t, w in zip(trials, walls, strict=True)],
        )
    )


def seconds(trial: Trial) -> dict[str, float]:
    """Seconds of a trial by the labels of `PHASES`, and what is left of its wall time as other."""
    outcome = trial.outcome
    assert outcome is not None
    known = outcome.seconds_by_phase or {}
    spent = {label: known.get(phase, 0.0) for phase, (label, _) in PHASES.items()}
    return spent | {OTHER.name: max(0.0, outcome.wall_s - sum(spent.values()))}


def running_s(trials: Iterable[Trial]) -> dict[int, float]:
    """Seconds in which any trial had run when each trial ended, by its number.

    Side by side, trials share their seconds; between two sessions of a search none pass.
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


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points than which none is better in both, from left to right."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, reverse=True):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front[::-1]


def _map(x: str, y: str, others: Sequence[str], trials: Sequence[Trial]) -> Element:
    columns = sorted({trial.config[x] for trial in trials})
    rows = sorted({trial.config[y] for trial in trials})
    cells: dict[tuple[int, int], list[Trial]] = {}
    for trial in trials:
        place = (columns.index(trial.config[x]), rows.index(trial.config[y]))
        cells.setdefault(place, []).append(trial)
    speeds = [m.steps_per_second for trial in trials if (m := speed_of(trial))]
    size, unit = _unit(max(speeds, default=0.0))
    squares, causes = {}, {}
    for place, group in cells.items():
        measured = [m.steps_per_second for trial in group if (m := speed_of(trial))]
        best = max(measured, default=None)
        failed = _causes(group)
        causes.update(failed)
        squares[place] = Square(
            share=None if best is None else best / max(speeds),
            figure="" if best is None else f"{best / size:.3g}",
            marks=[_MARKS[name] for name in failed],
            tip=_square_tip(f"{x} {columns[place[0]]}, {y} {rows[place[1]]}", group, best),
        )
    several = f" Each square is the best over {', '.join(others)}." if others else ""
    return grid.render_grid(
        Grid(
            title=f"Speed over {x} and {y}",
            note=f"Best {unit}{_SPEED} measured; dashed squares were not tried.{several}",
            x_label=x,
            y_label=y,
            columns=[str(value) for value in columns],
            rows=[str(value) for value in rows],
            squares=squares,
            keys={words.advice(name).short: _MARKS[name] for name in _MARKS if name in causes},
        )
    )


def _along(axis: str, trials: Sequence[Trial]) -> Element:
    values = sorted({trial.config[axis] for trial in trials})
    return chart.render(
        Chart(
            title=f"Speed over {axis}",
            note="The only axis whose value differs between trials. Whiskers are 95 % intervals.",
            x=_names_axis(axis, [str(value) for value in values]),
            y=_speed_axis(_highs(trials), from_zero=True),
            series=_speeds(trials, lambda trial: float(values.index(trial.config[axis]))),
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
            x=Axis(label=label, scale=scale(places), tick=lambda value: f"{value:g}"),
            y=_speed_axis(_highs(trials), from_zero=True),
            series=_speeds(trials, place),
            lines=[
                Line(
                    name="best so far",
                    color="accent",
                    points=_best_so_far(trials, place),
                    is_step=True,
                )
            ],
        )
    )


def _best_so_far(
    trials: Sequence[Trial], place: Callable[[Trial], float | None]
) -> list[tuple[float, float]]:
    """The fastest explored configuration by then; finals measure it again, not better."""
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


def _speeds(trials: Sequence[Trial], place: Callable[[Trial], float | None]) -> list[Series]:
    """The trials as series: by stage where there is a speed, by cause where there is none."""
    explored: list[Point] = []
    slow: list[Point] = []
    proven: list[Point] = []
    failed: dict[str, list[Point]] = {}
    for trial in trials:
        at, measured = place(trial), speed_of(trial)
        if at is None:
            continue
        if measured is None:
            point = Point(x=at, y=None, tip=_failure_tip(trial))
            failed.setdefault(_cause(trial), []).append(point)
            continue
        point = Point(
            x=at,
            y=measured.steps_per_second,
            low=measured.low,
            high=measured.high,
            tip=f"{_head(trial)}: {trials_view.speed_text(trial.outcome)} {_SPEED}",
        )
        if trial.stage not in EXPLORING:
            proven.append(point)
        else:
            (explored if trial.measurement else slow).append(point)
    return [
        Series(name="explored", mark=Mark.CIRCLE, color="accent", points=explored),
        Series(name="stopped as slow", mark=Mark.RING, color="accent", points=slow),
        Series(name="finals and soak", mark=Mark.DIAMOND, color="proof", points=proven),
        *_failed_series(failed),
    ]


def _by_cause(
    known: Sequence[tuple[Trial, int]], measured: Callable[[Trial], int | None]
) -> list[Series]:
    fitting: list[Point] = []
    failed: dict[str, list[Point]] = {}
    for trial, predicted in known:
        peak = measured(trial)
        got = f", measured {words.size(peak)}" if peak else ", not measured"
        tip = f"{_head(trial)}: predicted {words.size(predicted)}{got}"
        point = Point(x=predicted, y=peak, tip=tip)
        if speed_of(trial) is not None:
            fitting.append(point)
        else:
            failed.setdefault(_cause(trial), []).append(point)
    trained = Series(name="trained", mark=Mark.CIRCLE, color="accent", points=fitting)
    return [trained, *_failed_series(failed)]


def _failed_series(failed: Mapping[str, Sequence[Point]]) -> list[Series]:
    return [
        Series(name=words.advice(name).short, mark=mark, color="failed", points=failed[name])
        for name, mark in _MARKS.items()
        if name in failed
    ]


def _memory_note(known: Sequence[tuple[Trial, int]], *, on_device: bool) -> str:
    foot = "Marks at the foot were not measured."
    if not on_device:
        return (
            "No allocator counts on a CPU: measured is the resident memory of all the trial's "
            f"processes, the framework's own included. {foot}"
        )
    errors = [
        abs(peak / predicted - 1.0) for trial, predicted in known if (peak := _device_peak(trial))
    ]
    median, worst = 100 * statistics.median(errors), 100 * max(errors)
    return f"Off by {median:.1f} % in the median, {worst:.1f} % at worst. {foot}"


def _speed_axis(values: Sequence[float], *, from_zero: bool = False) -> Axis:
    return Axis(label=_SPEED, scale=Linear.over(values, from_zero=from_zero), tick=short)


def _names_axis(label: str, names: Sequence[str]) -> Axis:
    return Axis(label=label, scale=Ordinal(names=names), tick=lambda value: names[int(value)])


def _varying(trials: Sequence[Trial]) -> list[str]:
    """Axes on which trials differ, in the configurations' order; only axes that all have."""
    if not trials:
        return []
    return [
        name
        for name in trials[0].config
        if all(name in trial.config for trial in trials)
        and len({trial.config[name] for trial in trials}) > 1
    ]


def _cause(trial: Trial) -> str:
    assert trial.outcome is not None
    return "excluded" if trial.excluded else trial.outcome.kind.value


def _causes(group: Sequence[Trial]) -> dict[str, int]:
    """How many trials ended without a speed, by cause, in the order of `_MARKS`."""
    names = [_cause(trial) for trial in group if speed_of(trial) is None]
    return {name: names.count(name) for name in _MARKS if name in names}


def _square_tip(place: str, group: Sequence[Trial], best: float | None) -> str:
    speed = "nothing measured" if best is None else f"at best {words.speed(best)} {_SPEED}"
    failed = [f"{words.advice(name).short} {count}" for name, count in _causes(group).items()]
    return f"{place}: {', '.join([speed, words.plural(len(group), 'trial'), *failed])}"


def _head(trial: Trial) -> str:
    return f"trial {trial.number} ({trial.stage}), {words.configuration(trial.config)}"


def _failure_tip(trial: Trial) -> str:
    message = trial.outcome.message if trial.outcome else ""
    return f"{_head(trial)}: {trials_view.outcome_label(trial)}, {message}"


def _highs(trials: Sequence[Trial]) -> list[float]:
    return [m.high for trial in trials if (m := speed_of(trial))]


def _device_peak(trial: Trial) -> int | None:
    measured = trial.outcome.measurement if trial.outcome else None
    return (measured.peak_device_bytes if measured else None) or None


def _host_peak(trial: Trial) -> int | None:
    return (trial.outcome.peak_host_bytes if trial.outcome else None) or None


def _unit(most: float) -> tuple[float, str]:
    if most >= 1e6:
        return 1e6, "million "
    return (1e3, "thousand ") if most >= 1e3 else (1.0, "")


def _bytes(value: float) -> str:
    for size, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"
