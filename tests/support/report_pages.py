"""A report as a browser sees it, as far as a test needs it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from searches import record
from tune.report import page as report_page
from tune.run_folder.folder import RunFolder
from tune.search.trial import Trial

SECTIONS = ["result", "speed", "progress", "limits", "time", "trials", "machine", "reproduce"]
LEARNING = "learning"
"""The section of a search for what learns fastest; others lack it."""


class Page(HTMLParser):
    """What a browser makes of a report, as far as a test needs it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.marks: list[int] = []  # per chart
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in attrs}
        self.tags.append((tag, fields))
        if tag == "figure":
            self.marks.append(0)
        if "mark" in fields.get("class", "").split():
            self.marks[-1] += 1

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [fields for name, fields in self.tags if name == tag]


def page_of(trials: tuple[Trial, ...], **changes: Any) -> Page:
    html = report_page.render(record(**changes), trials, RunFolder(Path("runs/one")), "2026-01-03")
    page = Page(html)
    assert [section["id"] for section in page.all("section") if section["id"] != LEARNING] == (
        SECTIONS
    )
    assert all(page.marks), "a chart without marks should be a sentence instead"
    return page
