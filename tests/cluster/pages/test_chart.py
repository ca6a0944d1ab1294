"""Charts: units, legends, and labels that do not touch."""

import itertools
import re

import pytest

from cluster.pages import chart, drawing
from cluster.pages.chart import Chart, ChartPoint, Level, Line, Series
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.elements import to_html
from cluster.pages.scale import Ordinal
from drawings import axis, texts


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
