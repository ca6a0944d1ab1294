"""The report of a fleet as a page: which class to rent, and on what grounds."""

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from cluster.errors import FleetError
from cluster.fleet.offers import offers as report
from cluster.fleet.offers.offers import Offer
from cluster.node.atomic import write_text
from cluster.pages import page, table
from cluster.pages.elements import Element, element
from cluster.pages.page import Section
from cluster.pages.table import Bar, Cell, Column
from cluster.pages.units import dollars, steps

Task = tuple[str, ...]

_VALUES: Mapping[str, Callable[[Offer], float | None]] = {
    "env steps/s": lambda offer: offer.result.steps_per_second,
    "$ per hour": lambda offer: offer.price_per_hour,
    "env steps per $": lambda offer: offer.steps_per_dollar,
}
"""The columns of numbers, by which their rows are sorted."""


def write(tasks: Mapping[Task, Sequence[Offer]], path: Path, *, kind: str) -> Path:
    """Write the page of the profiles of this kind to `path`, in one step; return it.

    Raises:
        FleetError: if it cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    html = render(list(tasks.items()), kind=kind, folder=path.parent, now=now)
    try:
        write_text(path, html)
    except OSError as error:
        raise FleetError(f"cannot write the page {path}: {error.strerror}.") from error
    return path


def render(
    tasks: Sequence[tuple[Task, Sequence[Offer]]], *, kind: str, folder: Path, now: str
) -> str:
    """The page over all tasks, whose speeds are not compared with each other.

    `kind` is that of the profiles that were compared, `folder` where the page will lie, and `now`
    when it is made.
    """
    sentences = [report.advice(offers) for _, offers in tasks]
    is_one = len(tasks) == 1
    headline = sentences[0] if is_one else f"{len(tasks)} tasks, each with its own answer"
    return page.render(
        title=f"Fleet: {headline}",
        kicker=f"The {kind} profile of each GPU class, compared {now}",
        headline=headline,
        lead=[],
        sections=[
            Section(
                anchor=f"task-{number}",
                title=" · ".join(part for part in task if part != "-"),
                content=[
                    None if is_one else element("p", sentence, class_="lead"),
                    page.charts(*_bars(offers)),
                    _table(offers, folder),
                ],
            )
            for number, ((task, offers), sentence) in enumerate(
                zip(tasks, sentences, strict=True), start=1
            )
        ],
    )


def _bars(offers: Sequence[Offer]) -> list[Element]:
    fastest = sorted(offers, key=lambda offer: -offer.result.steps_per_second)
    speeds = [
        Bar(
            label=offer.result.machine_class,
            value=offer.result.steps_per_second,
            text=report.speed_text(offer.result),
        )
        for offer in fastest
    ]
    drawn = [table.bars("env steps/s, with the 95 % interval", speeds)]
    if all(offer.price_per_hour is None for offer in offers):
        unpriced = "There is no chart of prices and of steps per dollar: no price is known."
        return [*drawn, page.note(unpriced)]
    for column, words_of, color in (
        ("$ per hour", dollars, "quiet"),
        ("env steps per $", steps, "proof"),
    ):
        known = [(o, value) for o in fastest if (value := _VALUES[column](o)) is not None]
        bars = [
            Bar(label=o.result.machine_class, value=value, text=words_of(value), color=color)
            for o, value in known
        ]
        drawn.append(table.bars(column, bars))
    return drawn


def _table(offers: Sequence[Offer], folder: Path) -> Element:
    columns = [Column(name=name, is_number=name in _VALUES) for name in report.COLUMNS]
    rows = [
        [
            Cell(
                text=text,
                value=_VALUES[name](offer) if name in _VALUES else None,
                link=_report_of(offer, folder) if name == "host" else None,
            )
            for name, text in zip(report.COLUMNS, report.cells(offer), strict=True)
        ]
        for offer in offers
    ]
    return table.sortable(columns, rows, chosen=[0] if offers[0].steps_per_dollar else [])


def _report_of(offer: Offer, folder: Path) -> str | None:
    """Where the report of the search behind an offer lies, seen from the page; `None` if not."""
    found = offer.result.path.parent.parent / "run" / "report.html"
    return quote(os.path.relpath(found, folder)) if found.is_file() else None
