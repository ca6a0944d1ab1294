"""The fleet's report as a page: the class to rent, and the figures behind it."""

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from cluster.errors import FleetError
from cluster.fleet.offers.offers import (
    OFFER_COLUMNS,
    ClassOffer,
    advice,
    cells,
    interval_text,
)
from cluster.fleet.offers.profiles import TaskKey, titles
from cluster.node.atomic import write_text
from cluster.pages import page, table
from cluster.pages.elements import Element, element
from cluster.pages.page import Section
from cluster.pages.table import Cell, Column, TableBar
from cluster.pages.units import dollars, steps

_VALUES: Mapping[str, Callable[[ClassOffer], float | None]] = {
    "speed": lambda offer: offer.profile.steps_per_second,
    "$ per hour": lambda offer: offer.price_per_hour,
    "steps per $": lambda offer: offer.steps_per_dollar,
}
"""The columns of numbers, with the values by which their rows are sorted."""


def write(tasks: Mapping[TaskKey, Sequence[ClassOffer]], path: Path, *, kind: str) -> Path:
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
    tasks: Sequence[tuple[TaskKey, Sequence[ClassOffer]]], *, kind: str, folder: Path, now: str
) -> str:
    """Return the page, one section a task: speeds of different tasks are not compared.

    `kind` is that of the profiles, `folder` the page's own, and `now` the time of its making.
    """
    sentences = [advice(offers) for _, offers in tasks]
    named = titles({task: offers[0].profile.options for task, offers in tasks})
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
                title=named[task],
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


def _bars(offers: Sequence[ClassOffer]) -> list[Element]:
    fastest = sorted(offers, key=lambda offer: -offer.profile.steps_per_second)
    speeds = [
        TableBar(
            label=offer.profile.machine_class,
            value=offer.profile.steps_per_second,
            text=interval_text(offer.profile),
        )
        for offer in fastest
    ]
    drawn = [table.bars("speed, with the 95 % interval", speeds)]
    if all(offer.price_per_hour is None for offer in offers):
        unpriced = "There is no chart of prices and of steps per dollar: no price is known."
        return [*drawn, page.note(unpriced)]
    for column, words_of, color in (
        ("$ per hour", dollars, "quiet"),
        ("steps per $", steps, "proof"),
    ):
        known = [(o, value) for o in fastest if (value := _VALUES[column](o)) is not None]
        bars = [
            TableBar(label=o.profile.machine_class, value=value, text=words_of(value), color=color)
            for o, value in known
        ]
        drawn.append(table.bars(column, bars))
    return drawn


def _table(offers: Sequence[ClassOffer], folder: Path) -> Element:
    columns = [Column(name=name, is_number=name in _VALUES) for name in OFFER_COLUMNS]
    rows = [
        [
            Cell(
                text=text,
                value=_VALUES[name](offer) if name in _VALUES else None,
                link=_report_of(offer, folder) if name == "host" else None,
            )
            for name, text in zip(OFFER_COLUMNS, cells(offer), strict=True)
        ]
        for offer in offers
    ]
    return table.sortable(columns, rows, chosen=[0] if offers[0].steps_per_dollar else [])


def _report_of(offer: ClassOffer, folder: Path) -> str | None:
    """Return the path from `folder` to the report of an offer's search, `None` without one."""
    found = offer.profile.path.parent.parent / "run" / "report.html"
    return quote(os.path.relpath(found, folder)) if found.is_file() else None
