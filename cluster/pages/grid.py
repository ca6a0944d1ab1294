"""Heatmaps over two axes of names, and columns of stacked parts, as SVG. Pure."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from cluster.pages.drawing import (
    CHARACTER,
    ChartAxis,
    Frame,
    Mark,
    axes,
    figure,
    frame_of,
    mark_key,
    marked,
    shape,
    text,
)
from cluster.pages.elements import Element, element
from cluster.pages.scale import Ordinal

_GAP = 1.5
_WIDEST_COLUMN = 28.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """One square of a heatmap.

    `share` of the largest value sets its opacity; `None` if nothing was measured. `figure` is
    written into it where there is room, `marks` say what failed.
    """

    share: float | None
    figure: str
    marks: Sequence[Mark]
    tip: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A heatmap: squares by the indices (column, row) of their names; `keys` explain the marks."""

    title: str
    note: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    rows: Sequence[str]
    squares: Mapping[tuple[int, int], Square]
    keys: Mapping[str, Mark]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StackPart:
    """One part of every column; `color` is one of the style's classes."""

    name: str
    color: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One column per name of the horizontal axis, of parts that are `values[column][part]` high."""

    title: str
    note: str
    x: ChartAxis
    y: ChartAxis
    parts: Sequence[StackPart]
    values: Sequence[Sequence[float]]
    tips: Sequence[str]


def render_heatmap(grid: Heatmap) -> Element:
    """Draw the squares."""
    x = ChartAxis(label=grid.x_label, scale=Ordinal(names=grid.columns), tick=_name(grid.columns))
    y = ChartAxis(label=grid.y_label, scale=Ordinal(names=grid.rows), tick=_name(grid.rows))
    frame = frame_of(x, y)
    drawing = axes(frame, x, y, rules=False)
    width = (
        frame.across(1) - frame.across(0)
        if len(grid.columns) > 1
        else 2 * (frame.across(0) - frame.left)
    )
    height = frame.up(0) - frame.up(1) if len(grid.rows) > 1 else 2 * (frame.bottom - frame.up(0))
    for column in range(len(grid.columns)):
        for row in range(len(grid.rows)):
            middle = (frame.across(column), frame.up(row))
            drawing += _square(grid.squares.get((column, row)), middle, width - _GAP, height - _GAP)
    keys = [mark_key(name, mark, "failed") for name, mark in grid.keys.items()]
    return figure(grid.title, grid.note, keys, drawing)


def render_stack(stack: Stack) -> Element:
    """Draw the columns."""
    frame = frame_of(stack.x, stack.y)
    drawing = axes(frame, stack.x, stack.y)
    for place, (values, tip) in enumerate(zip(stack.values, stack.tips, strict=True)):
        drawing.append(_column(frame, stack, place, values, tip))
    keys = [
        element(
            "li",
            element(
                "svg", element("rect", width="12", height="12", class_="part"), viewBox="0 0 18 12"
            ),
            part.name,
            class_=part.color,
        )
        for part in stack.parts
    ]
    return figure(stack.title, stack.note, keys, drawing)


def _square(
    square: Square | None, middle: tuple[float, float], width: float, height: float
) -> list[Element]:
    x, y = middle
    box = {
        "x": f"{x - width / 2:.1f}",
        "y": f"{y - height / 2:.1f}",
        "width": f"{width:.1f}",
        "height": f"{height:.1f}",
        "rx": "2",
    }
    if square is None:
        return [element("rect", class_="untried", **box)]
    if square.share is None:
        drawn = [element("rect", class_="blocked", **box)]
    else:
        opacity = f"{0.12 + 0.83 * square.share:.2f}"
        drawn = [element("rect", class_="cell", fill_opacity=opacity, **box)]
    is_tall = height > 34
    fits = CHARACTER * len(square.figure) < width and height > 12
    has_figure = bool(square.figure) and fits and (is_tall or not square.marks)
    if has_figure:
        kind = "figure strong" if (square.share or 0.0) > 0.5 else "figure"
        above = 7 if square.marks else 0
        drawn.append(text(x, y + 4 - above, square.figure, anchor="middle", kind=kind))
    shown = square.marks[: max(1, int(width // 13))]
    for index, mark in enumerate(shown):
        place = x + 13 * (index - (len(shown) - 1) / 2)
        drawn.append(shape(mark, place, y + (11 if has_figure else 0), has_halo=True))
    return [marked(square.tip, *drawn, color="failed")]


def _column(frame: Frame, stack: Stack, place: float, values: Sequence[float], tip: str) -> Element:
    width = min(0.8 * (frame.across(1) - frame.across(0)), _WIDEST_COLUMN)
    drawn, height = [], 0.0
    for part, value in zip(stack.parts, values, strict=True):
        if value > 0:
            top = frame.up(height + value)
            drawn.append(
                element(
                    "rect",
                    x=f"{frame.across(place) - width / 2:.1f}",
                    y=f"{top:.1f}",
                    width=f"{width:.1f}",
                    height=f"{frame.up(height) - top:.1f}",
                    class_=f"part {part.color}",
                )
            )
        height += value
    return marked(tip, *drawn)


def _name(names: Sequence[str]) -> Callable[[float], str]:
    return lambda value: names[int(value)]
