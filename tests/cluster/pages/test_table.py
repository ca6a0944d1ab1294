"""Tables and bars carry their numbers."""

import re

from cluster.pages import table
from cluster.pages.elements import to_html
from cluster.pages.table import Cell, Column, TableBar
from drawings import HOSTILE


def test_a_table_carries_the_numbers_it_is_sorted_by() -> None:
    html = to_html(
        table.sortable(
            [Column(name="host"), Column(name="env steps/s", is_number=True)],
            [
                [Cell(text=HOSTILE, link="a%20b/report.html"), Cell(text="50.1 K", value=50_123.4)],
                [Cell(text="b"), Cell(text="")],
            ],
            chosen=[1],
        )
    )
    assert 'data-value="50123.4"' in html
    assert 'data-value=""' in html
    assert 'href="a%20b/report.html"' in html
    assert html.count("<tr class=") == 1


def test_bars_are_as_long_as_their_values() -> None:
    bars = [
        TableBar(label=text, value=value, text=text) for text, value in (("a", 4.0), ("b", 1.0))
    ]
    assert re.findall(r"width:([\d.]+)%", to_html(table.bars("x", bars))) == ["100.0", "25.0"]
    assert "width:0.0%" in to_html(table.bars("x", [TableBar(label="a", value=0.0, text="0")]))
