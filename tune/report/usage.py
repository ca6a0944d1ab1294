"""Charts of what a search used: memory, threads and time. Pure.

Where a chart would be empty, a sentence in its place says why.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from cluster.pages import chart, grid, units
from cluster.pages.chart import Chart, ChartPoint, Level, Line, Series
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.elements import Element
from cluster.pages.grid import Stack, StackPart
from cluster.pages.page import note
from cluster.pages.scale import Linear, Log, short
from trainables.measurement import OutcomeKind, Phase
from tune.report.marks import failed_series, head, names_axis, speed_of
from tune.run_folder.record import SearchContext
from tune.search.result import SearchResult
from tune.search.trial import Trial

PHASE_LEGEND: Mapping[str, tuple[str, str]] = {
    Phase.START: ("start", "c1"),
    Phase.IMPORT: ("import", "c2"),
    Phase.BUILD: ("build", "c3"),
    Phase.COMPILE: ("compile", "c4"),
    Phase.WARMUP: ("warm-up", "c5"),
    Phase.MEASURE: ("measure", "c6"),
}
"""A phase's label and colour."""

OTHER = StackPart(name="other", color="c7")


def memory(result: SearchResult, context: SearchContext) -> Element:
    """Return a chart of predicted against measured bytes, with the budgets."""
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
            name=f"budget for device memory {units.size(context.device_budget_bytes)}",
            value=context.device_budget_bytes,
            is_vertical=True,
        ),
        Level(
            name=f"budget for {'device' if on_device else 'host'} memory {units.size(budget)}",
            value=budget,
        ),
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
            x=ChartAxis(label="device memory as compiled or predicted", scale=x, tick=_bytes),
            y=ChartAxis(label=f"measured: {what}", scale=y, tick=_bytes),
            series=by_cause,
            lines=[same],
            levels=levels,
        )
    )


def threads(result: SearchResult, context: SearchContext) -> Element:
    """Return a chart of peak OS threads by phase, with the room for them."""
    seen: dict[str, list[tuple[int, int]]] = {}
    for trial in result.trials:
        for phase, count in ((trial.outcome and trial.outcome.threads_by_phase) or {}).items():
            if count > 0:
                seen.setdefault(phase, []).append((count, trial.number))
    phases = [phase for phase in PHASE_LEGEND if phase in seen]
    if not phases:
        return note("There is no chart of threads: no trial was seen alive in any phase.")
    points = []
    for index, phase in enumerate(phases):
        most, number = max(seen[phase])
        least, _ = min(seen[phase])
        label = PHASE_LEGEND[phase][0]
        points.append(
            ChartPoint(
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
            x=names_axis("phase of a trial", [PHASE_LEGEND[phase][0] for phase in phases]),
            y=ChartAxis(
                label="OS threads (logarithmic)",
                scale=Log.over([*values, *(level.value for level in levels)], base=10),
                tick=short,
            ),
            series=[Series(name="most", mark=Mark.DIAMOND, color="accent", points=points)],
            levels=levels,
        )
    )


def time_by_trial(result: SearchResult) -> Element:
    """Return a chart of each trial's time by phase."""
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
            x=names_axis("trial, number", [str(trial.number) for trial in trials]),
            y=ChartAxis(
                label="time, s",
                scale=Linear.over(walls, from_zero=True),
                tick=lambda value: f"{value:g}",
            ),
            parts=[
                *(StackPart(name=name, color=color) for name, color in PHASE_LEGEND.values()),
                OTHER,
            ],
            values=values,
            tips=[f"{head(t)}: {units.duration(w)}" for t, w in zip(trials, walls, strict=True)],
        )
    )


def seconds(trial: Trial) -> dict[str, float]:
    """Return a trial's seconds by the labels of `PHASE_LEGEND`; the rest of its time is `other`."""
    outcome = trial.outcome
    assert outcome is not None
    known = outcome.seconds_by_phase or {}
    spent = {label: known.get(phase, 0.0) for phase, (label, _) in PHASE_LEGEND.items()}
    return spent | {OTHER.name: max(0.0, outcome.wall_s - sum(spent.values()))}


def _by_cause(
    known: Sequence[tuple[Trial, int]], measured: Callable[[Trial], int | None]
) -> list[Series]:
    fitting: list[ChartPoint] = []
    failed: dict[OutcomeKind, list[ChartPoint]] = {}
    for trial, predicted in known:
        peak = measured(trial)
        got = f", measured {units.size(peak)}" if peak else ", not measured"
        tip = f"{head(trial)}: predicted {units.size(predicted)}{got}"
        point = ChartPoint(x=predicted, y=peak, tip=tip)
        if speed_of(trial) is not None:
            fitting.append(point)
        elif trial.kind is not None:
            failed.setdefault(trial.kind, []).append(point)
    trained = Series(name="trained", mark=Mark.CIRCLE, color="accent", points=fitting)
    return [trained, *failed_series(failed)]


def _memory_note(known: Sequence[tuple[Trial, int]], *, on_device: bool) -> str:
    measured = _device_peak if on_device else _host_peak
    lacking = any(not measured(trial) for trial, _ in known)
    foot = " Marks at the foot were not measured." if lacking else ""
    if not on_device:
        return (
            "No allocator counts on a CPU: measured is the resident memory of all the trial's "
            f"processes, the framework's own included.{foot}"
        )
    errors = [
        abs(peak / predicted - 1.0) for trial, predicted in known if (peak := _device_peak(trial))
    ]
    median, worst = 100 * statistics.median(errors), 100 * max(errors)
    return f"Off by {median:.1f} % in the median, {worst:.1f} % at worst.{foot}"


def _device_peak(trial: Trial) -> int | None:
    measured = trial.outcome.measurement if trial.outcome else None
    return (measured.peak_device_bytes if measured else None) or None


def _host_peak(trial: Trial) -> int | None:
    return (trial.outcome.peak_host_bytes if trial.outcome else None) or None


def _bytes(value: float) -> str:
    for size, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"
