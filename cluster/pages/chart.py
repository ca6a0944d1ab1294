"""Charts as data, drawn as SVG: it scales with the page, takes its colours, and needs no script.

Plotly and Bokeh were weighed: 4.8 and 1.3 MB of script in every page; a report is some 50 KB.
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence

from cluster.pages.elements import Element, element
from cluster.pages.scale import Ordinal, Scale

_WIDTH = 360.0  # about a phone's, so that 11 px stay readable there
_HEIGHT = 240.0
_TOP = 26.0  # the vertical axis's label stands above it: turned text is hard to read
_BELOW = 40.0
_FOOT = 20.0
_RIGHT = 12.0
_INSET = 8.0  # so that no mark lies on the labels of the vertical axis
_CHARACTER = 6.3
"""About the width of a character in the style's 11 px, of which widths of labels are estimated."""

_LINE_HEIGHT = 14.0


class Mark(enum.Enum):
    """A shape that can be told from the others without colour: an SVG path around (0, 0)."""

    CIRCLE = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
    RING = "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z"
    DIAMOND = "M0-5L5 0L0 5L-5 0z"
    TARGET = "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0z"
    CROSS = "M-4-4L4 4M-4 4L4-4"
    PLUS = "M-5 0H5M0-5V5"
    SQUARE = "M-4-4H4V4H-4z"
    TRIANGLE = "M0-5L5 4H-5z"
    VALLEY = "M0 5L5-4H-5z"
    HOURGLASS = "M-4-5H4L-4 5H4z"
    MINUS = "M-5 0H5"
    SLASH = "M-4 4L4-4"
    BAR = "M0-5V5"

    @property
    def is_solid(self) -> bool:
        """Tell whether it is filled; the others are lines."""
        return self in {Mark.CIRCLE, Mark.DIAMOND}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChartAxis:
    """An axis: `label` names the quantity with its unit, `tick` returns a value in words."""

    label: str
    scale: Scale
    tick: Callable[[float], str]


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

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no point to show."""
        return not any(series.points for series in self.series)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The area of a drawing between its axes, in the drawing's units."""

    left: float
    bottom: float
    x: Scale
    y: Scale

    def across(self, value: float) -> float:
        """Return the horizontal place of a value."""
        inset = 0.0 if isinstance(self.x, Ordinal) else _INSET
        return self.left + inset + self.x.place(value) * (_WIDTH - _RIGHT - self.left - 2 * inset)

    def up(self, value: float) -> float:
        """Return the vertical place of a value."""
        return self.bottom - self.y.place(value) * (self.bottom - _TOP)


def render(chart: Chart) -> Element:
    """Draw the chart, with its title, its note and its legend above it."""
    series = [one for one in chart.series if one.points]
    has_foot = any(point.y is None for one in series for point in one.points)
    frame = frame_of(chart.x, chart.y, foot=_FOOT if has_foot else 0.0)
    drawing = [*axes(frame, chart.x, chart.y)]
    if has_foot:
        drawing.append(_rule(frame.left, frame.bottom + _FOOT, _WIDTH - _RIGHT, "axis"))
    drawing += [_level(frame, level) for level in chart.levels]
    drawing += [_line(frame, line) for line in chart.lines if len(line.points) > 1]
    drawing += [_mark(frame, one, point) for one in series for point in one.points]
    drawing += _names(frame, [point for one in series for point in one.points])
    keys = [_mark_key(one) for one in series]
    keys += [_line_key(line) for line in chart.lines if len(line.points) > 1]
    limits = dict.fromkeys(level.name for level in chart.levels)  # one name, one line of the legend
    keys += [_stroke_key(name, "failed dashed") for name in limits]
    return figure(chart.title, chart.note, keys, drawing)


def figure(
    title: str,
    note: str,
    keys: Sequence[Element],
    drawing: Sequence[Element],
    height: float = _HEIGHT,
) -> Element:
    """Return a drawing with title, note and legend, and a line for the mark that is pointed at."""
    return element(
        "figure",
        element("figcaption", element("strong", title), element("p", note)),
        element("ul", *keys, class_="legend") if keys else None,
        element(
            "svg",
            *drawing,
            viewBox=f"0 0 {_WIDTH:g} {height:g}",
            role="img",
            aria_label=title,
        ),
        element("output", "Point at a mark, or tap it, for its figures."),
    )


def frame_of(x: ChartAxis, y: ChartAxis, *, foot: float = 0.0) -> Frame:
    """Return the frame that leaves room for the labels of the axes."""
    widest = max((len(y.tick(value)) for value in y.scale.ticks()), default=1)
    return Frame(
        left=10.0 + _CHARACTER * widest, bottom=_HEIGHT - _BELOW - foot, x=x.scale, y=y.scale
    )


def axes(frame: Frame, x: ChartAxis, y: ChartAxis, *, rules: bool = True) -> list[Element]:
    """Return rules, ticks and labels; labels that would touch are left out."""
    drawn = []
    for value in y.scale.ticks():
        if rules:
            drawn.append(_rule(frame.left, frame.up(value), _WIDTH - _RIGHT, "rule"))
        drawn.append(text(frame.left - 6, frame.up(value) + 4, y.tick(value), anchor="end"))
    drawn.append(_rule(frame.left, frame.bottom, _WIDTH - _RIGHT, "axis"))
    ticks = x.scale.ticks()
    widest = max((len(x.tick(value)) for value in ticks), default=1) * _CHARACTER + 6
    stride = max(1, math.ceil(len(ticks) * widest / (_WIDTH - _RIGHT - frame.left)))
    floor = _HEIGHT - _BELOW
    drawn += [
        text(frame.across(value), floor + 16, x.tick(value), anchor="middle")
        for value in ticks[::stride]
    ]
    middle = (frame.left + _WIDTH - _RIGHT) / 2
    drawn.append(text(middle, floor + 33, fitted(x.label), anchor="middle"))
    drawn.append(text(0, 12, fitted(y.label)))
    return drawn


def fitted(words: str) -> str:
    """Return the words, cut to the width of a drawing: people choose the names of axes."""
    most = int((_WIDTH - 60.0) / _CHARACTER)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", kind: str | None = None
) -> Element:
    """Return a line of text at a place."""
    return element("text", words, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind)


def marked(tip: str, *drawn: Element, color: str = "") -> Element:
    """Return shapes as one mark that shows `tip` when it is pointed at."""
    return element("g", element("title", tip), *drawn, class_=f"mark {color}".strip())


def shape(mark: Mark, x: float, y: float, *, has_halo: bool = False) -> Element:
    """Return a mark at a place; the halo sets it off from what lies below."""
    halo = element("path", d=mark.value, class_="halo") if has_halo else None
    drawn = element("path", d=mark.value, class_="solid" if mark.is_solid else "open")
    return element("g", halo, drawn, transform=f"translate({x:.1f} {y:.1f})")


def mark_key(name: str, mark: Mark, color: str) -> Element:
    """Return a line of the legend for a mark."""
    drawn = element("svg", shape(mark, 9, 6), viewBox="0 0 18 12", aria_hidden="true")
    return element("li", drawn, name, class_=color)


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


def _rule(left: float, y: float, right: float, kind: str) -> Element:
    return element("path", d=f"M{left:.1f} {y:.1f}H{right:.1f}", class_=kind)


def _level(frame: Frame, level: Level) -> Element:
    if level.is_vertical:
        path = f"M{frame.across(level.value):.1f} {_TOP:.1f}V{_HEIGHT - _BELOW:.1f}"
    else:
        path = f"M{frame.left:.1f} {frame.up(level.value):.1f}H{_WIDTH - _RIGHT:.1f}"
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
    y = frame.bottom + _FOOT / 2 if point.y is None else frame.up(point.y)
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
        width = _CHARACTER * len(name)
        is_right = x + 10 + width < _WIDTH
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
