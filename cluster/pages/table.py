"""Tables: sortable ones of many figures, and bars beside numbers. Pure."""

import dataclasses
from collections.abc import Sequence

from cluster.pages.elements import Element, element


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading with its unit; a column of numbers is sorted as such and stands to the right."""

    name: str
    is_number: bool = False
    is_long: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell's text, and the number it is sorted by; `link` is a path relative to the page."""

    text: str
    value: float | None = None
    link: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableBar:
    """A length with its value in words; `color` is one of the style's classes."""

    label: str
    value: float
    text: str
    color: str = "accent"


def sortable(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, chosen: Sequence[int] = ()
) -> Element:
    """Return a table whose headings sort it; the rows of the indices in `chosen` stand out."""
    heads = [
        element(
            "th",
            element("button", column.name, type="button"),
            scope="col",
            class_="number" if column.is_number else None,
        )
        for column in columns
    ]
    lines = [
        element(
            "tr",
            *(_cell(column, cell) for column, cell in zip(columns, row, strict=True)),
            class_="chosen" if index in chosen else None,
        )
        for index, row in enumerate(rows)
    ]
    table = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *lines),
        class_="sortable",
    )
    return element("div", table, class_="scroll", tabindex="0")


def bars(heading: str, items: Sequence[TableBar]) -> Element:
    """Return a chart with one bar per item, the longest as wide as there is room."""
    longest = max((item.value for item in items), default=0.0) or 1.0
    lines = [
        element(
            "tr",
            element("th", item.label, scope="row"),
            element("td", item.text, class_="number"),
            element(
                "td",
                element(
                    "span",
                    class_=f"bar {item.color}",
                    style=f"width:{100 * item.value / longest:.1f}%",
                ),
                class_="bars",
            ),
        )
        for item in items
    ]
    caption = element("h3", heading)
    return element("div", caption, element("table", element("tbody", *lines), class_="rows barred"))


def _cell(column: Column, cell: Cell) -> Element:
    content = cell.text if cell.link is None else element("a", cell.text, href=cell.link)
    kind = "number" if column.is_number else "text" if column.is_long else None
    value = None
    if column.is_number:
        value = "" if cell.value is None else f"{cell.value:.10g}"
    return element("td", content, class_=kind, data_value=value)
