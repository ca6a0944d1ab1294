"""A page in one file, without a network: its head, sections and script, for phones and dark mode.

Its content security policy forbids it to load anything, and to run any other script.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.pages.elements import Content, Element, element, to_html

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()}'"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page. `anchor` names it in links."""

    anchor: str
    title: str
    content: Sequence[Content]


def render(
    *,
    title: str,
    kicker: str,
    headline: Content,
    lead: Sequence[Content],
    sections: Sequence[Section],
) -> str:
    """Return the page as HTML: headline and `lead` first, then the sections, with links to them."""
    links = [element("a", section.title, href=f"#{section.anchor}") for section in sections]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _policy(),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", _STYLE),
    )
    body = element(
        "body",
        element("header", element("p", kicker, class_="kicker"), element("h1", headline), *lead),
        element("nav", *links, aria_label="Sections"),
        element("main", *map(_section, sections)),
        element("script", _SCRIPT),
    )
    return f"<!DOCTYPE html>\n{to_html(element('html', head, body, lang='en'))}\n"


def rows(pairs: Iterable[tuple[str, Content]]) -> Element:
    """Return a table of labels and texts."""
    lines = [
        element("tr", element("th", label, scope="row"), element("td", text))
        for label, text in pairs
    ]
    return element("table", element("tbody", *lines), class_="rows")


def charts(*figures: Element) -> Element:
    """Return charts side by side where there is room."""
    return element("div", *figures, class_="charts")


def note(text: str) -> Element:
    """Return a sentence in muted text."""
    return element("p", text, class_="muted")


def commands(pairs: Sequence[tuple[str, str]]) -> list[Element]:
    """Return commands to be copied, each below its purpose."""
    return [
        item
        for label, command in pairs
        for item in (element("p", f"{label}:"), element("pre", element("code", command)))
    ]


def _section(section: Section) -> Element:
    heading = element("h2", section.title)
    return element("section", heading, *section.content, id=section.anchor)


def _policy() -> Element:
    meta = element("meta", content=_POLICY)
    meta.set("http-equiv", "Content-Security-Policy")
    return meta
