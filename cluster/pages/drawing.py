"""Parts of a chart's drawing as SVG: figure, frame, axes, marks, text. Pure."""

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence

from cluster.pages.elements import Element, element
from cluster.pages.scale import Ordinal, Scale

WIDTH = 360.0  # about a phone's, so that 11 px stay readable there
HEIGHT = 240.0
TOP = 26.0  # the vertical axis's label stands above it: turned text is hard to read
BELOW = 40.0
FOOT = 20.0
RIGHT = 12.0
_INSET = 8.0  # so that no mark lies on the labels of the vertical axis
CHARACTER = 6.3
"""About the width of a character in the style's 11 px, of which widths of labels are estimated."""


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
class Frame:
    """The area of a drawing between its axes, in the drawing's units."""

    left: float
    bottom: float
    x: Scale
    y: Scale

    def across(self, value: float) -> float:
        """Return the horizontal place of a value."""
        inset = 0.0 if isinstance(self.x, Ordinal) else _INSET
        return self.left + inset + self.x.place(value) * (WIDTH - RIGHT - self.left - 2 * inset)

    def up(self, value: float) -> float:
        """Return the vertical place of a value."""
        return self.bottom - self.y.place(value) * (self.bottom - TOP)


def figure(
    title: str,
    note: str,
    keys: Sequence[Element],
    drawing: Sequence[Element],
) -> Element:
    """Return a drawing with title, note and legend, and a line for the mark that is pointed at."""
    return element(
        "figure",
        element("figcaption", element("strong", title), element("p", note)),
        element("ul", *keys, class_="legend") if keys else None,
        element(
            "svg",
            *drawing,
            viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
            role="img",
            aria_label=title,
        ),
        element("output", "Point at a mark, or tap it, for its figures."),
    )


def frame_of(x: ChartAxis, y: ChartAxis, *, foot: float = 0.0) -> Frame:
    """Return the frame that leaves room for the labels of the axes."""
    widest = max((len(y.tick(value)) for value in y.scale.ticks()), default=1)
    return Frame(left=10.0 + CHARACTER * widest, bottom=HEIGHT - BELOW - foot, x=x.scale, y=y.scale)


def axes(frame: Frame, x: ChartAxis, y: ChartAxis, *, rules: bool = True) -> list[Element]:
    """Return rules, ticks and labels; labels that would touch are left out."""
    drawn = []
    for value in y.scale.ticks():
        if rules:
            drawn.append(rule(frame.left, frame.up(value), "rule"))
        drawn.append(text(frame.left - 6, frame.up(value) + 4, y.tick(value), anchor="end"))
    drawn.append(rule(frame.left, frame.bottom, "axis"))
    ticks = x.scale.ticks()
    widest = max((len(x.tick(value)) for value in ticks), default=1) * CHARACTER + 6
    stride = max(1, math.ceil(len(ticks) * widest / (WIDTH - RIGHT - frame.left)))
    floor = HEIGHT - BELOW
    drawn += [
        text(frame.across(value), floor + 16, x.tick(value), anchor="middle")
        for value in ticks[::stride]
    ]
    middle = (frame.left + WIDTH - RIGHT) / 2
    drawn.append(text(middle, floor + 33, fitted(x.label), anchor="middle"))
    drawn.append(text(0, 12, fitted(y.label)))
    return drawn


def fitted(words: str) -> str:
    """Return the words, cut to the width of a drawing: people choose the names of axes."""
    most = int((WIDTH - 60.0) / CHARACTER)
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


def rule(left: float, y: float, kind: str) -> Element:
    """Return a horizontal line from `left` to the right end of the frame."""
    return element("path", d=f"M{left:.1f} {y:.1f}H{WIDTH - RIGHT:.1f}", class_=kind)
