"""The chart of learning curves: the return against the seconds of training. Pure.

Between its points a curve is a straight line; before and after them it keeps its value.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cluster.pages import chart, units
from cluster.pages.chart import Chart, ChartPoint, Line, Series
from cluster.pages.drawing import ChartAxis, Frame, Mark, frame_of
from cluster.pages.elements import Element, element
from cluster.pages.scale import Linear, short
from trainables.curve import LearningCurve
from tune.report.layers import ChartLabel, Polyline, labels, layered
from tune.report.trainees import Trainee
from tune.search.learned import Judgement

_Array = NDArray[np.float64]

_MOST_MOMENTS = 60
"""The places that one line is drawn through: more cannot be seen."""

_ENDS = {
    "reached the target": Mark.DIAMOND,
    "trained to the end": Mark.CIRCLE,
    "fell behind, and was ended": Mark.CROSS,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CurveBand:
    """The mean over the seeds of one configuration, and the lowest and highest seed."""

    mean: Polyline
    low: Polyline
    high: Polyline

    @classmethod
    def over(cls, curves: Sequence[LearningCurve]) -> "CurveBand":
        """Return the band over the curves; one that has ended counts with its last return."""
        moments = _moments(curves)
        returns = np.array([np.interp(moments, one.seconds, one.returns) for one in curves])
        return cls(
            mean=_places(moments, returns.mean(axis=0)),
            low=_places(moments, returns.min(axis=0)),
            high=_places(moments, returns.max(axis=0)),
        )


def learning_curves(trainees: Sequence[Trainee], judgement: Judgement) -> Element:
    """Return a chart of the return over the seconds of training, one line per configuration."""
    bands = [CurveBand.over(one.learned.curves) for one in trainees]
    places = [place for band in bands for place in (*band.low, *band.high)]
    levels = [] if judgement.target is None else [judgement.target]
    x = Linear.over((at for at, _ in places), from_zero=True)
    drawn = list(zip(trainees, bands, strict=True))
    picture = Chart(
        title="Learning curves",
        note=_note(trainees),
        x=ChartAxis(label="seconds of training", scale=x, tick=lambda value: f"{value:g}"),
        y=ChartAxis(
            label="return of held-out episodes" if _is_held_out(trainees) else "mean return",
            scale=Linear.over([*(value for _, value in places), *levels]),
            tick=short,
        ),
        series=_ends(drawn, judgement),
        lines=[
            *(
                Line(name=one.legend, color=one.color, points=band.mean)
                for one, band in drawn
                if not one.is_muted
            ),
            *(
                Line(name=f"target {level:g}", color="ink", points=across, is_dashed=True)
                for level in levels
                for across in [[(x.low, level), (x.high, level)]]
            ),
        ],
    )
    frame = frame_of(picture.x, picture.y)
    return layered(
        chart.render(picture), below=_below(frame, drawn), above=_labels(frame, picture, drawn)
    )


def _note(trainees: Sequence[Trainee]) -> str:
    several = any(one.learned.num_seeds > 1 for one in trainees)
    seeds = (
        " A line is the mean over seeds, its band reaches from the lowest to the highest; a seed "
        "that has ended counts with its last return."
    )
    muted = sum(one.is_muted for one in trainees)
    others = f" Grey: {units.plural(muted, 'other configuration')}."
    return f"Up and left is better.{seeds * several}{others * bool(muted)}"


def _is_held_out(trainees: Sequence[Trainee]) -> bool:
    return all(curve.held_out for one in trainees for curve in one.learned.curves)


def _moments(curves: Sequence[LearningCurve]) -> _Array:
    """Return the moments of all points, or so many that no more can be seen."""
    moments = np.unique(np.concatenate([curve.seconds for curve in curves]))
    number = min(len(moments), _MOST_MOMENTS)
    kept: _Array = moments[np.linspace(0, len(moments) - 1, number).round().astype(int)]
    return kept


def _places(moments: _Array, values: _Array) -> Polyline:
    return list(zip(moments.tolist(), values.tolist(), strict=True))


def _ends(drawn: Sequence[tuple[Trainee, CurveBand]], judgement: Judgement) -> list[Series]:
    """Return a mark at the end of each line, by how its trainings ended."""
    points: dict[str, list[ChartPoint]] = {name: [] for name in _ENDS}
    for one, band in drawn:
        (at, value), seeds = band.mean[-1], units.plural(one.learned.num_seeds, "seed")
        end = _end(one.learned.curves, judgement.target)
        tip = f"{one.legend}: {value:.4g} after {at:.3g} s, {seeds}, {end}"
        points[end].append(ChartPoint(x=at, y=value, tip=tip))
    return [
        Series(name=name, mark=mark, color="quiet", points=points[name])
        for name, mark in _ENDS.items()
    ]


def _end(curves: Sequence[LearningCurve], target: float | None) -> str:
    """Return how the trainings of one configuration ended: the worst end of its seeds."""
    reached, trained, behind = _ENDS
    if any(curve.fell_behind for curve in curves):
        return behind
    reach = target is not None and all(curve.reached_s(target) is not None for curve in curves)
    return reached if reach else trained


def _labels(
    frame: Frame, picture: Chart, drawn: Sequence[tuple[Trainee, CurveBand]]
) -> list[Element]:
    return labels(
        frame,
        [
            ChartLabel(name=one.name, color=one.color, at=band.mean[-1])
            for one, band in drawn
            if one.name
        ],
        marks=[band.mean[-1] for _, band in drawn],
        lines=[line.points for line in picture.lines],
    )


def _below(frame: Frame, drawn: Sequence[tuple[Trainee, CurveBand]]) -> list[Element]:
    """Return what lies below the chart: bands, thin lines of the others, a wide one of the best."""
    below = []
    for one, band in reversed(drawn):
        if one.is_muted:
            below.append(_wide(frame, one, band, 1))
            continue
        if one.learned.num_seeds > 1:
            area = f"{_path(frame, band.low)}L{_path(frame, band.high[::-1])[1:]}Z"
            below.append(element("path", d=area, class_=f"part {one.color}", opacity="0.16"))
        if one.is_best:
            below.append(_wide(frame, one, band, 4))
    return below


def _wide(frame: Frame, one: Trainee, band: CurveBand, width: int) -> Element:
    """Return the mean as a line of another width."""
    style = f"stroke-width:{width};stroke-linejoin:round"
    return element("path", d=_path(frame, band.mean), class_=f"line {one.color}", style=style)


def _path(frame: Frame, places: Polyline) -> str:
    points = (f"{frame.across(x):.1f} {frame.up(y):.1f}" for x, y in places)
    return "M" + "L".join(points)
