"""The page that reports share: text stays text, nothing is fetched, axes can be read."""

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser

import pytest

from cluster.pages import chart, drawing, grid, page, table
from cluster.pages.chart import Chart, ChartPoint, Level, Line, Series
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.elements import element, to_html
from cluster.pages.grid import Heatmap, Square, Stack, StackPart
from cluster.pages.page import Section
from cluster.pages.scale import Linear, Log, Ordinal, short
from cluster.pages.table import Cell, Column, TableBar

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


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


def texts(drawn: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def axis(label: str, values: list[float]) -> ChartAxis:
    return ChartAxis(label=label, scale=Linear.over(values, from_zero=True), tick=short)


def a_chart(**changes: object) -> Chart:
    fields: dict[str, object] = {
        "title": "Speed",
        "note": "How to read it.",
        "x": axis("trial, number", [0.0, 4.0]),
        "y": axis("env steps/s", [60_000.0]),
        "series": [
            Series(
                name="explored",
                mark=Mark.CIRCLE,
                color="accent",
                points=[ChartPoint(x=1.0, y=50_000.0, low=49_000.0, high=51_000.0, tip="trial 1")],
            )
        ],
    }
    return Chart(**(fields | changes))  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([3.0], [2.5, 2.7, 2.9, 3.1, 3.3, 3.5]),
        ([0.0, 61_300.0], [0, 20_000, 40_000, 60_000, 80_000]),
        ([-1.0, 1.0], [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_linear_ticks_are_round_and_few(values: list[float], ticks: list[float]) -> None:
    scale = Linear.over(values)
    assert len(scale.ticks()) <= 7
    for value in values:
        assert 0.0 <= scale.place(value) <= 1.0
    if len(values) != 1:
        assert scale.ticks() == pytest.approx(ticks)


def test_counted_things_have_whole_ticks() -> None:
    assert Linear.over([0.0, 2.0], whole=True).ticks() == [0.0, 1.0, 2.0]
    assert Linear.over([7.0], whole=True).ticks() == [6.0, 7.0, 8.0]


@pytest.mark.parametrize(
    ("values", "base", "ticks"),
    [
        ([22.0, 32_202.0], 10, [10, 100, 1_000, 10_000, 100_000]),
        ([1000.0], 10, [1000, 10_000]),
        ([2.0**20, 2.0**34], 2, [2**20, 2**23, 2**26, 2**29, 2**32]),
        ([], 2, [1, 2]),
    ],
)
def test_logarithmic_ticks_are_powers_and_few(
    values: list[float], base: int, ticks: list[float]
) -> None:
    scale = Log.over(values, base=base)
    assert scale.ticks() == ticks
    for value in values:
        assert 0.0 <= scale.place(value) <= 1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (20_000, "20 K"), (1.5e6, "1.5 M"), (2e9, "2 B"), (0.1 + 0.2, "0.3")],
)
def test_a_tick_is_short(value: float, text: str) -> None:
    assert short(value) == text


def test_a_chart_has_its_units_its_legend_and_its_figures() -> None:
    drawn = to_html(chart.render(a_chart(levels=[Level(name="the limit", value=55_000.0)])))
    assert {"trial, number", "env steps/s"} <= set(texts(drawn))
    for words in ("Speed", "How to read it.", "explored", "the limit", "<title>trial 1</title>"):
        assert words in drawn


def test_what_was_not_measured_lies_at_the_foot() -> None:
    failed = Series(
        name="device memory",
        mark=Mark.CROSS,
        color="failed",
        points=[ChartPoint(x=2.0, y=None, tip="too much")],
    )
    drawn = to_html(chart.render(a_chart(series=[failed])))
    [y] = re.findall(r'class="mark failed"><title>too much</title><circle[^>]*cy="([\d.]+)"', drawn)
    rules = [float(at) for at in re.findall(r'd="M[\d.]+ ([\d.]+)H[\d.]+" class="rule"', drawn)]
    assert float(y) > max(rules), "it would read as a speed of zero"
    assert "device memory" in drawn


def test_a_line_that_has_no_length_is_in_no_legend() -> None:
    dot = Line(name="best so far", color="accent", points=[(1.0, 2.0)])
    assert "best so far" not in to_html(chart.render(a_chart(lines=[dot])))


@pytest.mark.parametrize("count", [1, 12, 60, 400])
def test_labels_of_an_axis_do_not_touch(count: int) -> None:
    names = [f"{number}" for number in range(1000, 1000 + count)]
    x = ChartAxis(label="x", scale=Ordinal(names=names), tick=lambda value: names[int(value)])
    y = axis("y", [1.0])
    frame = drawing.frame_of(x, y)
    drawn = "".join(to_html(part) for part in drawing.axes(frame, x, y))
    places = sorted(float(at) for at in re.findall(r'<text x="([\d.]+)"[^>]*>1\d{3}<', drawn))
    assert places
    gaps = [right - left for left, right in itertools.pairwise(places)]
    assert all(gap > 4 * 6 for gap in gaps)


def test_names_of_points_do_not_lie_on_each_other() -> None:
    points = [ChartPoint(x=1.0, y=50_000.0 + n, tip="", name=name) for n, name in enumerate("abc")]
    series = Series(name="chosen", mark=Mark.TARGET, color="proof", points=points)
    drawn = to_html(chart.render(a_chart(series=[series])))
    heights = sorted(
        float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*class="name"', drawn)
    )
    assert len(heights) == 3
    assert all(below - above >= 13 for above, below in itertools.pairwise(heights))


def a_grid(num_columns: int, num_rows: int, marks: list[Mark]) -> str:
    square = Square(share=0.9, figure="61.3", marks=marks, tip="its figures")
    return to_html(
        grid.render_heatmap(
            Heatmap(
                title="Speed",
                note="",
                x_label="num_envs",
                y_label="num_steps",
                columns=[str(2**n) for n in range(num_columns)],
                rows=[str(2**n) for n in range(num_rows)],
                squares={(0, 0): square},
                keys={"device memory": Mark.CROSS},
            )
        )
    )


def test_a_square_says_its_speed_and_its_failures() -> None:
    drawn = a_grid(4, 3, [Mark.CROSS])
    assert "61.3" in texts(drawn)
    assert drawn.count('class="untried"') == 11
    assert drawn.count(Mark.CROSS.value) == 3  # the legend's; the square's with its halo


@pytest.mark.parametrize(("num_columns", "num_rows"), [(30, 3), (4, 40)])
def test_what_does_not_fit_into_a_square_is_left_to_its_tip(
    num_columns: int, num_rows: int
) -> None:
    drawn = a_grid(num_columns, num_rows, [])
    assert "61.3" not in texts(drawn)
    assert "<title>its figures</title>" in drawn


def test_columns_are_stacked_from_zero_up() -> None:
    stack = Stack(
        title="Time",
        note="",
        x=ChartAxis(label="trial, number", scale=Ordinal(names=["0"]), tick=lambda _: "0"),
        y=axis("time, s", [10.0]),
        parts=[StackPart(name="compile", color="c4"), StackPart(name="measure", color="c6")],
        values=[[4.0, 6.0]],
        tips=["trial 0: 10 s"],
    )
    drawn = to_html(grid.render_stack(stack))
    boxes = re.findall(r'y="([\d.]+)"[^>]*height="([\d.]+)" class="part c', drawn)
    (compile_y, compile_height), (measure_y, measure_height) = [tuple(map(float, b)) for b in boxes]
    assert measure_y + measure_height == pytest.approx(compile_y, abs=0.2)
    assert measure_height / compile_height == pytest.approx(1.5, abs=0.02)


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


def test_a_page_may_load_nothing_and_run_its_own_script_only() -> None:
    section = Section(anchor="a", title="A", content=[element("p", HOSTILE)])
    html = page.render(title=HOSTILE, kicker="", headline=HOSTILE, lead=[], sections=[section])
    [policy] = re.findall(r'content="(default-src[^"]*)"', html)
    assert policy.startswith("default-src 'none'")
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)
    assert "@import" not in html
    assert "url(" not in html
    assert '<a href="#a">A</a>' in html
