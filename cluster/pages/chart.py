"""Charts as data, drawn as SVG: it scales with the page, takes its colours, and needs no script.

Plotly and Bokeh were weighed: 4.8 and 1.3 MB of script in every page; a report is some 50 KB.
"""

import dataclasses
from collections.abc import Sequence

from cluster.pages.drawing import (
    BELOW,
    CHARACTER,
    FOOT,
    HEIGHT,
    RIGHT,
    TOP,
    WIDTH,
    ChartAxis,
    Frame,
    Mark,
    axes,
    figure,
    frame_of,
    mark_key,
    marked,
    rule,
    shape,
    text,
)
from cluster.pages.elements import Element, element

_LINE_HEIGHT = 14.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChartPoint:
    """A mark on a chart. One without a measured `y` is drawn at the foot.

    `low` and `high` are the ends of its whisker, `tip` its figures in words, `name` a label.
    """

    x: float
    y: float | None
    tip: str
    low: float | None = None
    high: float | None = None
    name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points that mean the same; `color` is one of the style's classes."""

    name: str
    mark: Mark
    color: str
    points: Sequence[ChartPoint]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through (x, y) places; `is_step` keeps each value until the next."""

    name: str
    color: str
    points: Sequence[tuple[float, float]]
    is_step: bool = False
    is_dashed: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A limit: a dashed line across the chart, at a height or, if `is_vertical`, at a place."""

    name: str
    value: float
    is_vertical: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its axes; `note` is a sentence that says how to read it."""

    title: str
    note: str
    x: ChartAxis
    y: ChartAxis
    series: Sequence[Series] = ()
    lines: Sequence[Line] = ()
    levels: Sequence[Level] = ()


def render(chart: Chart) -> Element:
    """Draw the chart, with its title, its note and its legend above it."""
    series = [one for one in chart.series if one.points]
    has_foot = any(point.y is None for one in series for point in one.points)
    frame = frame_of(chart.x, chart.y, foot=FOOT if has_foot else 0.0)
    drawing = [*axes(frame, chart.x, chart.y)]
    if has_foot:
        drawing.append(rule(frame.left, frame.bottom + FOOT, "axis"))
    drawing += [_level(frame, level) for level in chart.levels]
    drawing += [_line(frame, line) for line in chart.lines if len(line.points) > 1]
    drawing += [_mark(frame, one, point) for one in series for point in one.points]
    drawing += _names(frame, [point for one in series for point in one.points])
    keys = [_mark_key(one) for one in series]
    keys += [_line_key(line) for line in chart.lines if len(line.points) > 1]
    limits = dict.fromkeys(level.name for level in chart.levels)  # one name, one line of the legend
    keys += [_stroke_key(name, "failed dashed") for name in limits]
    return figure(chart.title, chart.note, keys, drawing)


def _mark_key(series: Series) -> Element:
    return mark_key(series.name, series.mark, series.color)


def _line_key(line: Line) -> Element:
    return _stroke_key(line.name, f"{line.color} {'dashed' * line.is_dashed}")


def _stroke_key(name: str, color: str) -> Element:
    stroke = element(
        "path", d="M0 6H18", class_=f"line {'dashed' if 'dashed' in color else ''}".strip()
    )
    drawn = element("svg", stroke, viewBox="0 0 18 12", aria_hidden="true")
    return element("li", drawn, name, class_=color.strip())


def _level(frame: Frame, level: Level) -> Element:
    if level.is_vertical:
        path = f"M{frame.across(level.value):.1f} {TOP:.1f}V{HEIGHT - BELOW:.1f}"
    else:
        path = f"M{frame.left:.1f} {frame.up(level.value):.1f}H{WIDTH - RIGHT:.1f}"
    return marked(level.name, element("path", d=path, class_="line dashed"), color="failed")


def _line(frame: Frame, line: Line) -> Element:
    (x, y), *rest = [(frame.across(x), frame.up(y)) for x, y in line.points]
    path = f"M{x:.1f} {y:.1f}"
    for x, y in rest:
        path += f"H{x:.1f}V{y:.1f}" if line.is_step else f"L{x:.1f} {y:.1f}"
    kind = f"line {line.color}" + " dashed" * line.is_dashed
    return element("path", d=path, class_=kind)


def _mark(frame: Frame, series: Series, point: ChartPoint) -> Element:
    x = frame.across(point.x)
    y = frame.bottom + FOOT / 2 if point.y is None else frame.up(point.y)
    drawn = [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="9", class_="touch")]
    if point.low is not None and point.high is not None and point.low < point.high:
        path = f"M{x:.1f} {frame.up(point.low):.1f}V{frame.up(point.high):.1f}"
        drawn.append(element("path", d=path, class_="whisker"))
    return marked(point.tip, *drawn, shape(series.mark, x, y), color=series.color)


def _names(frame: Frame, points: Sequence[ChartPoint]) -> list[Element]:
    """Return the labels of named points, moved down where they would overlap."""
    drawn: list[Element] = []
    taken: list[tuple[float, float, float]] = []  # left, right, height
    named = [
        (frame.across(p.x), frame.up(p.y), p.name) for p in points if p.name and p.y is not None
    ]
    for x, y, name in sorted(named, key=lambda item: item[1]):
        width = CHARACTER * len(name)
        is_right = x + 10 + width < WIDTH
        left = x + 10 if is_right else x - 10 - width
        height = y - 8
        for other_left, other_right, other in sorted(taken, key=lambda item: item[2]):
            if (
                left < other_right
                and other_left < left + width
                and abs(height - other) < _LINE_HEIGHT
            ):
                height = other + _LINE_HEIGHT
        taken.append((left, left + width, height))
        drawn.append(text(left, height, name, kind="name"))
    return drawn
