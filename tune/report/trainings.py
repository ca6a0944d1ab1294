"""Trainings from scratch: their curves, their speed against what they learned, a table. Pure."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from cluster.pages import chart, page, table, units
from cluster.pages.chart import Chart, ChartPoint, Line, Series
from cluster.pages.drawing import ChartAxis, Mark, frame_of
from cluster.pages.elements import Content, Element
from cluster.pages.scale import Linear, Log, short
from cluster.pages.table import Cell, Column
from tune.report.curves import learning_curves
from tune.report.layers import ChartLabel, Polyline, labels, layered
from tune.report.learning import pareto_front
from tune.report.marks import speed_axis
from tune.report.trainees import Trainee, trainees
from tune.search.learned import Judgement, Learned
from tune.search.result import SearchResult
from tune.summary.trials import unit_of

_MISSED = "not reached"
_MISSED_BY_SOME = "not reached by every seed"
_TIED = "tied"
_COUNTED = "Compilation counts as far as it does in the training that was planned."

_Columns = list[tuple[Column, Callable[[Trainee], Cell]]]


def render(result: SearchResult, judgement: Judgement) -> list[Content]:
    """Return the charts, and the table of all configurations that trained."""
    found, unit = trainees(result, judgement), unit_of(result.trials)
    columns = _columns(judgement, unit)
    return [
        page.charts(
            learning_curves(found, judgement), speed_against_learning(found, judgement, unit)
        ),
        page.note(_how(judgement)),
        table.sortable(
            [column for column, _ in columns],
            [[cell(one) for _, cell in columns] for one in found],
            chosen=[0],
        ),
    ]


def speed_against_learning(found: Sequence[Trainee], judgement: Judgement, unit: str) -> Element:
    """Return a chart of the speed of each configuration against what it learned, with the front.

    Seconds to the target are drawn by their inverse, so that what is better lies higher.
    """
    dots = [_Dot.of(one, judgement) for one in found]
    seen = [height for dot in dots for height in dot.seeds]
    after = units.duration(judgement.training_s)
    y = ChartAxis(label=f"return after {after}", scale=Linear.over(seen), tick=short)
    title, how = "Speed against the return", ""
    if judgement.by_target:
        y = _seconds_axis(seen, has_missed=any(dot.height is None for dot in dots))
        title, how = "Speed against the seconds to the target", f" {_COUNTED}"
    foot = y.scale.ticks()[0]
    places = [(dot.speed, foot if dot.height is None else dot.height) for dot in dots]
    front = pareto_front(
        place for dot, place in zip(dots, places, strict=True) if dot.height is not None
    )
    picture = Chart(
        title=title,
        note=f"Up and right is better. Whiskers reach over the seeds.{how}",
        x=speed_axis([dot.speed for dot in dots], unit),
        y=y,
        series=_series(dots, places, judgement, unit),
        lines=[Line(name="Pareto front", color="ink", points=front)],
    )
    named = [
        ChartLabel(name=one.name, color=one.color, at=place)
        for one, place in zip(found, places, strict=True)
        if one.name
    ]
    above = labels(frame_of(picture.x, y), named, marks=places, lines=[front])
    return layered(chart.render(picture), below=(), above=above)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Dot:
    """A configuration on the chart: what it and each seed learned, higher for more.

    `height` is `None` where a seed missed the target; `seeds` lack those that did.
    """

    trainee: Trainee
    height: float | None
    seeds: list[float]

    @classmethod
    def of(cls, trainee: Trainee, judgement: Judgement) -> "_Dot":
        """Return the dot of a configuration."""
        own = trainee.learned
        if not judgement.by_target:
            seeds = list(own.finals)
            return cls(trainee=trainee, height=statistics.fmean(seeds), seeds=seeds)
        return cls(
            trainee=trainee,
            height=1.0 / own.typical_s if own.typical_s else None,
            seeds=[1.0 / seconds for seconds in own.seconds if seconds],
        )

    @property
    def speed(self) -> float:
        """Its speed in training."""
        return self.trainee.learned.steps_per_second


def _seconds_axis(rates: Sequence[float], *, has_missed: bool) -> ChartAxis:
    """Return the axis of inverse seconds, with a place at its foot for what missed the target."""
    scale = Log.over(rates, base=2)
    if has_missed:
        scale = Log(low=scale.low / 2, high=scale.high, base=2)

    def tick(rate: float) -> str:
        return _MISSED if has_missed and rate <= scale.low else f"{1.0 / rate:g}"

    return ChartAxis(label="seconds to the target, fewer on top (log.)", scale=scale, tick=tick)


def _series(
    dots: Sequence[_Dot], places: Polyline, judgement: Judgement, unit: str
) -> list[Series]:
    """Return one series for each that has a colour, and those of the others."""
    groups: dict[tuple[str, str, Mark], list[ChartPoint]] = {}
    for dot, (x, y) in zip(dots, places, strict=True):
        one, has_missed = dot.trainee, dot.height is None
        legend = "other configurations" if one.is_muted else one.legend
        learned = _learned_text(one.learned, judgement)
        point = ChartPoint(
            x=x,
            y=y,
            low=None if has_missed else min(dot.seeds),
            high=None if has_missed else max(dot.seeds),
            tip=f"{one.legend}: {units.speed(dot.speed)} {unit}/s, {learned}",
        )
        mark = Mark.RING if has_missed else Mark.CIRCLE
        missed = f", {_MISSED_BY_SOME if dot.seeds else _MISSED}" if has_missed else ""
        key = (f"{legend}{missed}", one.color, mark)
        groups.setdefault(key, []).append(point)
    return [
        Series(name=legend, color=color, mark=mark, points=points)
        for (legend, color, mark), points in groups.items()
    ]


def _learned_text(learned: Learned, judgement: Judgement) -> str:
    if not judgement.by_target:
        value = _figure(statistics.fmean(learned.finals))
        return f"a return of {value} after {units.duration(judgement.training_s)}"
    if learned.typical_s is not None:
        return f"{_seconds(learned.typical_s)} s to the target"
    seeds = units.plural(learned.num_seeds, "seed")
    return f"{learned.num_missed} of {seeds} did not reach the target"


def _how(judgement: Judgement) -> str:
    """Return how to read the table."""
    after = units.duration(judgement.training_s)
    typical = "Seconds to the target are the geometric mean over the seeds. " * judgement.by_target
    tied = f" {_TIED.title()}: not told apart from the best by these seeds." * bool(judgement.tied)
    return (
        f"{typical}The return is after {after} of training, the mean return over all of it; a "
        "training that ended sooner keeps its last return. Those with fewer seeds stand below."
        f"{tied}"
    )


def _columns(judgement: Judgement, unit: str) -> _Columns:
    each = "each seed, s" if judgement.by_target else "each seed's return"
    return [
        (Column(name="configuration"), lambda one: Cell(text=one.config)),
        _number("seeds", str, lambda own: own.num_seeds),
        *([] if judgement.target is None else [_to_target(judgement.target)]),
        (Column(name=each), lambda one: Cell(text=_each_seed(one.learned, judgement))),
        _number("return", _figure, lambda own: statistics.fmean(own.finals)),
        _number("mean return", _figure, lambda own: statistics.fmean(own.areas)),
        _number(f"{unit}/s", units.speed, lambda own: own.steps_per_second),
        (Column(name="is"), lambda one: Cell(text=_remark(one, judgement))),
    ]


def _number(
    name: str, text_of: Callable[[float], str], value_of: Callable[[Learned], float]
) -> tuple[Column, Callable[[Trainee], Cell]]:
    def cell(one: Trainee) -> Cell:
        value = value_of(one.learned)
        return Cell(text=text_of(value), value=value)

    return Column(name=name, is_number=True), cell


def _to_target(target: float) -> tuple[Column, Callable[[Trainee], Cell]]:
    def cell(one: Trainee) -> Cell:
        typical_s = one.learned.typical_s
        if typical_s is None:
            return Cell(text=f"not in {_figure(one.learned.waited_s, 3)} s")
        return Cell(text=_seconds(typical_s), value=typical_s)

    return Column(name=f"to {target:g}, s", is_number=True), cell


def _remark(one: Trainee, judgement: Judgement) -> str:
    behind = sum(curve.fell_behind for curve in one.learned.curves)
    remarks = [
        *one.names,
        *([_TIED] if one.learned in judgement.tied else []),
        *([f"{units.plural(behind, 'seed')} fell behind"] if behind else []),
    ]
    return ", ".join(remarks)


def _each_seed(learned: Learned, judgement: Judgement) -> str:
    if judgement.by_target:
        return ", ".join("-" if s is None else _seconds(s) for s in learned.seconds)
    return ", ".join(_figure(value) for value in learned.finals)


def _figure(value: float, digits: int = 4) -> str:
    """Return a figure with so many digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _seconds(seconds: float) -> str:
    """Return three significant digits, and all of those before the point."""
    digits = 2 if seconds < 9.995 else 1 if seconds < 99.95 else 0
    return f"{seconds:,.{digits}f}"
