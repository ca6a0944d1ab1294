"""The chart of speed against learning."""

import dataclasses

from report_pages import page_of
from searches import every_outcome
from tune.report import learning


def test_no_point_of_the_pareto_front_is_beaten_in_both() -> None:
    front = [(0.2, 5.0), (0.9, 1.0), (0.5, 4.0), (0.5, 3.0), (0.1, 4.5)]
    assert learning.pareto_front(front) == [(0.2, 5.0), (0.5, 4.0), (0.9, 1.0)]


def test_learning_needs_a_batch_size() -> None:
    trials = tuple(
        dataclasses.replace(trial, config={"num_envs": 2 + trial.number})
        for trial in every_outcome()
    )
    page = page_of(trials, baseline={"num_envs": 2})
    assert "that needs an axis named batch_size" in page.text
