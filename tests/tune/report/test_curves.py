"""The chart of learning curves: the mean over seeds, its band, its end."""

import re
from xml.etree import ElementTree

import pytest

import trained_searches
from cluster.pages.elements import to_html
from search_spaces.config import config_name
from trainables.curve import LearningCurve
from trained_searches import trials
from tune.report import curves
from tune.report.curves import CurveBand
from tune.report.trainees import trainees


def curve(*points: tuple[float, float]) -> LearningCurve:
    seconds, returns = zip(*points, strict=True)
    return LearningCurve(seconds=seconds, env_steps=tuple(range(len(points))), returns=returns)


def drawn(target: float | None = 400.0, **changes: float) -> ElementTree.Element:
    result = trained_searches.result(trials(target=target, **changes), target)
    assert result.judgement is not None
    return curves.learning_curves(trainees(result, result.judgement), result.judgement)


def test_a_line_is_the_mean_of_its_seeds_and_the_band_holds_them() -> None:
    band = CurveBand.over([curve((1.0, 0.0), (3.0, 8.0)), curve((2.0, 2.0), (3.0, 4.0))])
    assert band.mean == [(1.0, 1.0), (2.0, 3.0), (3.0, 6.0)]
    assert band.low == [(1.0, 0.0), (2.0, 2.0), (3.0, 4.0)]
    assert band.high == [(1.0, 2.0), (2.0, 4.0), (3.0, 8.0)]


def test_a_seed_that_has_ended_keeps_its_return_and_the_line_ends_with_the_last() -> None:
    band = CurveBand.over([curve((1.0, 0.0), (2.0, 10.0)), curve((1.0, 0.0), (4.0, 6.0))])
    assert band.mean == [(1.0, 0.0), (2.0, 6.0), (4.0, 8.0)]


def test_a_curve_of_many_points_is_drawn_with_its_first_and_last() -> None:
    band = CurveBand.over([curve(*((float(n), 2.0 * n) for n in range(1, 1001)))])
    assert len(band.mean) <= 60
    assert band.mean[0] == (1.0, 2.0)
    assert band.mean[-1] == (1000.0, 2000.0)


def test_the_best_the_fastest_and_the_baseline_are_labelled_and_the_rest_is_grey() -> None:
    figure = drawn()
    labels = [text.text for text in figure.iter("text") if "name" in (text.get("class") or "")]
    assert sorted(filter(None, labels)) == ["baseline", "best", "steps fastest"]
    legend = [key[0].tail for key in figure.iterfind("ul/li")]
    assert f"best: {config_name(trained_searches.config(256))}" in legend
    assert "target 400" in legend
    assert "Grey: 5 other configurations." in to_html(figure)
    assert len([path for path in figure.iter("path") if path.get("class") == "line c1"]) == 5


def test_only_several_seeds_have_a_band() -> None:
    bands = [path for path in drawn().iter("path") if (path.get("class") or "").startswith("part ")]
    assert len(bands) == 4


def test_each_line_says_how_its_trainings_ended() -> None:
    told = [title.text or "" for title in drawn().iter("title")]
    assert len([tip for tip in told if tip.endswith("reached the target")]) == 7
    assert len([tip for tip in told if tip.endswith("fell behind, and was ended")]) == 2


@pytest.mark.parametrize("target", [None, 490.0])
def test_the_target_is_shown_even_if_nothing_reached_it(target: float | None) -> None:
    html = to_html(drawn(target, hard=8.0))
    assert ("target 490" in html) == (target is not None)
    assert "reached the target" not in html


def test_nothing_is_drawn_outside_the_picture() -> None:
    for path in drawn().iterfind("svg/path"):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d") or ""):
            assert 0.0 <= float(x) <= 360.0
            assert 0.0 <= float(y) <= 240.0


def test_a_single_point_is_a_mark_without_a_line() -> None:
    band = CurveBand.over([curve((1.0, 5.0))])
    assert band.mean == [(1.0, 5.0)]
