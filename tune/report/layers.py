"""Layers of a chart: what lies below its lines, and labels above them that hide little. Pure."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from cluster.pages.drawing import CHARACTER, WIDTH, Frame, text
from cluster.pages.elements import Element

Polyline = Sequence[tuple[float, float]]

_BOLD = 1.12
"""The width of a label's characters, against those of other text."""

_ASIDE = 9.0
_STEP = 5.0
_PER_MARK = 8.0
_PER_UNIT = 0.3
"""The costs of a mark under a label and of its distance, in pieces of lines under it."""

_SHIFTS = (0.0, -13.0, 13.0, -26.0, 26.0, -39.0, 39.0, -52.0, 52.0)
"""How much higher or lower than its mark a label may stand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChartLabel:
    """A name for the mark at a place; `color` is a class of the style."""

    name: str
    color: str
    at: tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float, margin: float) -> bool:
        """Tell whether a place lies in the box, or within the margin around it."""
        across = self.left - margin < x < self.right + margin
        return across and self.top - margin < y < self.bottom + margin

    def meets(self, other: "_Box") -> bool:
        """Tell whether two boxes overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def layered(figure: Element, *, below: Sequence[Element], above: Sequence[Element]) -> Element:
    """Return a chart's figure, with one drawing below its own and one above."""
    drawing = figure.find("svg")
    assert drawing is not None
    drawing[:0] = below
    drawing.extend(above)
    return figure


def labels(
    frame: Frame, names: Sequence[ChartLabel], *, marks: Polyline, lines: Sequence[Polyline]
) -> list[Element]:
    """Return the labels, each beside its mark where it hides the least of marks and lines."""
    spots = [_in_frame(frame, mark) for mark in marks]
    drawn = [spot for line in lines for spot in _along([_in_frame(frame, at) for at in line])]
    taken: list[_Box] = []
    elements = []
    for label in names:
        x, y = _in_frame(frame, label.at)

        def cost(box: _Box, y: float = y) -> float:
            hidden = _PER_MARK * sum(box.holds(*spot, margin=4.0) for spot in spots)
            crossed = sum(box.holds(*spot, margin=1.0) for spot in drawn)
            overlapping = 1e3 * sum(box.meets(other) for other in taken)
            return hidden + crossed + overlapping + _PER_UNIT * abs(box.bottom - 4.0 - y)

        best = min(_boxes(frame, label.name, x, y), key=cost)
        taken.append(best)
        drawing = text(best.left, best.bottom - 3.0, label.name, kind=f"name {label.color}")
        drawing.set("style", "fill:var(--color)")
        elements.append(drawing)
    return elements


def _boxes(frame: Frame, name: str, x: float, y: float) -> Iterator[_Box]:
    """Yield the boxes that a label may fill: to the right, to the left, above, below."""
    width = _BOLD * CHARACTER * len(name)
    for shift, left in itertools.product(_SHIFTS, (x + _ASIDE, x - _ASIDE - width, x - width / 2)):
        start = min(max(left, frame.left), WIDTH - width)
        bottom = min(max(y + shift + 6.0, 28.0), frame.bottom - 1.0)
        yield _Box(start, bottom - 12.0, start + width, bottom)


def _in_frame(frame: Frame, place: tuple[float, float]) -> tuple[float, float]:
    return frame.across(place[0]), frame.up(place[1])


def _along(places: Polyline) -> Iterator[tuple[float, float]]:
    """Yield places along a line, close to each other."""
    for (x, y), (to_x, to_y) in itertools.pairwise(places):
        count = max(1, math.ceil(math.hypot(to_x - x, to_y - y) / _STEP))
        for share in (step / count for step in range(count)):
            yield x + share * (to_x - x), y + share * (to_y - y)
