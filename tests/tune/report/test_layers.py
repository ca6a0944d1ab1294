"""Labels on a chart: beside their marks, and over nothing that counts."""

import itertools

from cluster.pages.drawing import CHARACTER, WIDTH, frame_of
from cluster.pages.elements import Element, element
from drawings import axis
from tune.report.layers import ChartLabel, labels, layered

X, Y = axis("across", [0.0, 10.0]), axis("up", [0.0, 10.0])
FRAME = frame_of(X, Y)


def label(name: str, x: float, y: float) -> ChartLabel:
    return ChartLabel(name=name, color="proof", at=(x, y))


def box(text: Element) -> tuple[float, float, float, float]:
    left, bottom = float(text.get("x", "")), float(text.get("y", ""))
    return left, bottom - 9.0, left + CHARACTER * len(text.text or ""), bottom


def test_labels_of_marks_at_one_place_do_not_overlap() -> None:
    names = [label(f"the name of number {number}", 10.0, 10.0) for number in range(5)]
    drawn = labels(FRAME, names, marks=[(10.0, 10.0)], lines=[])
    assert len(drawn) == 5
    for one, other in itertools.combinations(map(box, drawn), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


def test_a_label_stays_in_the_picture_and_off_the_labels_of_the_axes() -> None:
    for x, y in itertools.product((0.0, 5.0, 10.0), repeat=2):
        (drawn,) = labels(FRAME, [label("best, baseline", x, y)], marks=[(x, y)], lines=[])
        left, top, right, bottom = box(drawn)
        assert FRAME.left <= left < right <= WIDTH
        assert 12.0 < top < bottom < FRAME.bottom


def test_a_label_hides_no_mark_where_there_is_room() -> None:
    marks = [(5.0, 5.0), (6.0, 5.0), (6.0, 5.8)]
    (drawn,) = labels(FRAME, [label("baseline", 5.0, 5.0)], marks=marks, lines=[])
    left, top, right, bottom = box(drawn)
    for x, y in marks:
        inside = left < FRAME.across(x) < right and top < FRAME.up(y) < bottom
        assert not inside


def test_a_label_gives_way_to_a_line() -> None:
    across = [(0.0, 5.0), (10.0, 5.0)]
    (drawn,) = labels(FRAME, [label("baseline", 5.0, 5.0)], marks=[(5.0, 5.0)], lines=[across])
    _, top, _, bottom = box(drawn)
    assert not top < FRAME.up(5.0) < bottom


def test_layers_lie_below_and_above_what_a_chart_draws() -> None:
    figure = element("figure", element("svg", element("path")))
    layered(figure, below=[element("rect")], above=[element("text")])
    assert [drawn.tag for drawn in figure[0]] == ["rect", "path", "text"]
