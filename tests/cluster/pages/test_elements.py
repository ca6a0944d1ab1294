"""Elements: text stays text, and attributes are spelt as HTML spells them."""

from html.parser import HTMLParser

import pytest

from cluster.pages.elements import element, to_html
from drawings import HOSTILE


class Seen(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_and_attributes_cannot_become_markup() -> None:
    seen = Seen()
    seen.feed(to_html(element("p", HOSTILE, element("b"), HOSTILE, title=HOSTILE)))
    assert seen.tags == [("p", {"title": HOSTILE}), ("b", {})]
    assert seen.text == HOSTILE * 2


@pytest.mark.parametrize("text", ["\ud800", "bars\udcff.csv", "a\x00b", "\x1b[31m"])
def test_what_no_file_may_hold_is_replaced(text: str) -> None:
    html = to_html(element("p", text, title=text))
    assert html.encode("utf-8").decode().count("\N{REPLACEMENT CHARACTER}") == 2


def test_attributes_are_spelt_as_html_spells_them() -> None:
    assert to_html(element("td", class_="number", data_value="", id=None)) == (
        '<td class="number" data-value=""></td>'
    )
