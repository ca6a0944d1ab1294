"""Headings with rows of label and text, for a terminal and, where there is none, as plain lines."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

Sections = Mapping[str, Sequence[tuple[str, str]]]
"""Rows of label and text, by heading."""


def panel(sections: Sections, *, title: str, styles: Mapping[str, str]) -> RenderableType:
    """Return the sections for a terminal; `styles` has rich's style of labels that stand out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for heading, rows in sections.items():
        grid.add_row(Text(heading, style="bold"))
        for label, text in rows:
            grid.add_row(Text(f"  {label}", style=styles.get(label, "dim")), Text(text))
    return Panel(grid, title=title, expand=False)


def lines(sections: Sections) -> list[str]:
    """Return the sections as plain lines."""
    return [
        line
        for heading, rows in sections.items()
        for line in (heading, *(f"  {label}: {text}" for label, text in rows))
    ]


def show(sections: Sections, *, title: str, styles: Mapping[str, str]) -> None:
    """Print the sections to where standard output goes."""
    if sys.stdout.isatty():
        Console().print(panel(sections, title=title, styles=styles))
    else:
        print("\n".join(lines(sections)))


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
