"""Charts of memory, threads and time, each with what the journal knows."""

import dataclasses

import pytest

import searches
from cluster.pages import units
from report_pages import page_of
from searches import every_outcome, record


def test_on_a_gpu_the_prediction_is_held_against_the_allocators_peak() -> None:
    page = page_of(every_outcome(on_gpu=True))
    assert "Off by 3.0 % in the median, 3.0 % at worst." in page.text
    assert "measured as predicted" in page.text
    assert "No allocator counts on a CPU" in page_of(every_outcome()).text


def test_a_journal_without_phases_or_times_still_makes_a_page() -> None:
    page = page_of(tuple(searches.bare(trial) for trial in every_outcome()))
    assert "no trial was seen alive in any phase" in page.text
    assert "the journal has no times of trials" in page.text


def test_without_a_limit_on_threads_none_is_drawn() -> None:
    context = dataclasses.replace(record().context, thread_room=None)
    assert "Nothing limits threads here." in page_of(every_outcome(), context=context).text


@pytest.mark.parametrize(("first_trial", "said"), [(0, "no trial ran"), (10, "last session")])
def test_the_time_between_trials_is_that_of_the_session_whose_time_is_known(
    first_trial: int, said: str
) -> None:
    trials = every_outcome()
    ran_s = 10.0 * sum(trial.number >= first_trial for trial in trials)
    page = page_of(trials, first_trial=first_trial)
    assert said in page.text
    assert units.duration(400.0 - ran_s) in page.text  # the record's wall_s less what trials took
