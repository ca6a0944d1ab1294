"""The chart of speed against learning per sample, with the Pareto front. Pure."""

import dataclasses
from collections.abc import Iterable, Sequence

from cluster.pages import chart, units
from cluster.pages.chart import Chart, ChartPoint, Line, Series
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.elements import Element
from cluster.pages.page import note
from cluster.pages.scale import Linear
from search_spaces.config import ConfigKey, config_key, config_name
from tune.report.marks import speed_axis
from tune.search.candidates import candidates_of
from tune.search.objective import SAMPLE_SCALES, learning_per_sample
from tune.search.result import Candidate, SearchResult


def learning(result: SearchResult) -> Element:
    """Return a chart of speed against learning per sample, with profiles and Pareto front."""
    candidates = candidates_of(result.trials)
    if not candidates:
        return note("There is nothing to weigh speed against: no configuration was measured.")
    noise_scale = candidates[0].noise_scale
    if noise_scale is None:
        return note(
            "Speed is not weighed against learning: the gradient noise scale is not known. Either "
            "most trials could not tell the gradient from its noise, or the workload's health() "
            "reports no gradient_noise_scale."
        )
    if any("batch_size" not in candidate.config for candidate in candidates):
        return note("Speed is not weighed against learning: that needs an axis named batch_size.")
    kinds: dict[ConfigKey, list[str]] = {}
    for kind, chosen in result.chosen.items():
        kinds.setdefault(config_key(chosen.config), []).append(kind.value)
    most = max(learning_per_sample(candidate.config, noise_scale) for candidate in candidates)
    points = [
        _learning_point(
            candidate,
            learning_per_sample(candidate.config, noise_scale) / most,
            kinds.get(config_key(candidate.config), []),
        )
        for candidate in candidates
    ]
    places = [(point.x, point.y) for point in points if point.y is not None]
    named = [dataclasses.replace(point, name=None) for point in points if point.name]
    return chart.render(
        Chart(
            title="Speed against learning per sample",
            note="By a model: a gradient step on B samples learns "
            f"1 / (1 + B / {noise_scale:,.0f}) per sample, where the number is the gradient noise "
            "scale measured here; an update of N samples 1 / (1 + N / N0), where N0 is not known, "
            f"and taken to lie between {SAMPLE_SCALES[0]:,.0f} and {SAMPLE_SCALES[-1]:,.0f}. Up "
            "and right is better.",
            x=ChartAxis(
                label="learning per sample, % of the most here",
                scale=Linear.over(x for x, _ in places),
                tick=lambda value: f"{value:g}",
            ),
            y=speed_axis([y for _, y in places], candidates[0].unit),
            series=[
                Series(name="configuration", mark=Mark.CIRCLE, color="accent", points=points),
                Series(name="chosen", mark=Mark.TARGET, color="proof", points=named),
            ],
            lines=[Line(name="Pareto front", color="proof", points=pareto_front(places))],
        )
    )


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point beats in both coordinates, from left to right."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, reverse=True):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front[::-1]


def _learning_point(candidate: Candidate, share: float, kinds: Sequence[str]) -> ChartPoint:
    name = ", ".join(kinds)
    tip = (
        f"{config_name(candidate.config)}: {units.speed(candidate.steps_per_second)} "
        f"{candidate.unit}/s, "
        f"{100 * share:.0f} % of the most learned per sample"
    )
    return ChartPoint(
        x=100 * share,
        y=candidate.steps_per_second,
        tip=f"{name}: {tip}" if name else tip,
        name=name or None,
    )
