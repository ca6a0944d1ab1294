"""The section of a search for what learns fastest: its charts and its table."""

import pytest

import searches
from report_pages import LEARNING, Page, page_of
from searches import every_outcome
from trained_searches import context, trials
from tune.search.trial import Stage


def page(target: float | None = None, **changes: float) -> Page:
    made = page_of(trials(target=target, **changes), context=context(target))
    assert LEARNING in [section["id"] for section in made.all("section")]
    return made


def test_other_searches_have_no_such_section() -> None:
    assert LEARNING not in [section["id"] for section in page_of(every_outcome()).all("section")]


def test_a_search_that_trained_nothing_yet_has_none() -> None:
    explored = tuple(trial for trial in trials() if trial.stage is not Stage.LEARN)
    made = page_of(explored, context=context())
    assert LEARNING not in [section["id"] for section in made.all("section")]


def test_a_target_is_judged_by_the_seconds_to_it() -> None:
    made = page(400.0)
    for said in (
        "Learning curves",
        "Speed against the seconds to the target",
        "seconds to the target, fewer on top (log.)",
        "to 400, s",
        "not in 35 s",
        "other configurations, not reached",
        "1 of 1 seed did not reach the target",
        "1 seed fell behind",
    ):
        assert said in made.text
    assert "Speed against the return" not in made.text


def test_trainings_are_not_called_finals_nor_speed_unweighed_beside_them() -> None:
    """Seen in the report of a command, whose gradient noise scale nobody knows."""
    made = page(400.0)
    assert "trainings, finals and soak" in made.text
    assert "Speed is not weighed against learning" not in made.text
    others = page_of(every_outcome())
    assert "finals and soak" in others.text
    assert "trainings, finals" not in others.text


def test_without_a_target_returns_are_compared_after_the_same_time() -> None:
    made = page()
    for said in ("Speed against the return", "return after 1 min 00 s", "each seed's return"):
        assert said in made.text
    assert "not reached" not in made.text
    assert "to the target" not in made.text


def test_a_target_that_nothing_reached_is_said_in_the_table() -> None:
    made = page(490.0, hard=8.0)
    assert "Speed against the return" in made.text
    assert "not in 60 s" in made.text


def test_those_that_the_seeds_cannot_tell_apart_are_marked() -> None:
    assert "Tied: not told apart from the best by these seeds." in page().text


@pytest.mark.parametrize("target", [None, 400.0])
def test_a_single_training_breaks_no_page(target: float | None) -> None:
    own = trials(target=target)
    first = next(trial for trial in own if trial.stage is Stage.LEARN)
    made = page_of((own[0], first), context=context(target), baseline=searches.BASELINE)
    assert "best, steps fastest, baseline" in made.text


def test_a_target_that_some_seeds_missed_is_no_time() -> None:
    own = [trial for trial in trials(target=400.0) if trial.config == searches.BASELINE]
    missed = [trial for trial in trials(target=490.0, hard=8.0) if trial.config == own[0].config]
    made = page_of((*own[:2], *missed[-2:]), context=context(400.0))
    assert "2 of 3 seeds did not reach the target" in made.text
    assert "not reached by every seed" in made.text
    assert "not in 60 s" in made.text
