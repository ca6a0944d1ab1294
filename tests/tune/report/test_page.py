"""The report of a search: whatever a search was like, the page is whole, true and harmless."""

import dataclasses
from pathlib import Path

import factories
import searches
from factories import outcome
from report_pages import Page, page_of
from searches import HOSTILE, every_outcome, record
from trainables.measurement import OutcomeKind
from tune.report import page as report_page
from tune.run_folder.folder import RunFolder
from tune.search.trial import Stage, Trial
from tune.summary.outcomes import EXPLANATIONS


def test_every_outcome_is_on_the_page_with_its_mark() -> None:
    page = page_of(every_outcome())
    for advice in EXPLANATIONS.values():
        assert advice.short in page.text
    for kind in OutcomeKind:
        assert f"it ended as {kind}." in page.text or kind in searches.MEASURED
    assert len(page.marks) == 7
    assert "There is no chart" not in page.text


def test_the_sentence_comes_first_and_the_speed_up_with_it() -> None:
    page = page_of(every_outcome())
    assert page.text.index("faster than the framework default") < page.text.index("Trials that met")
    assert page.all("h1")


def test_a_search_without_a_trial_says_why_in_the_place_of_each_chart() -> None:
    page = page_of(())
    assert not page.marks
    assert "No trial came to an end, so there is no profile." in page.text
    assert "no trial came to an end" in page.text
    for why in (
        "There is no map of speeds",
        "There is no chart of speed by trial",
        "There is no chart of speed by time: no trial has ended.",
        "There is nothing to weigh speed against",
        "There is no chart of memory",
        "There is no chart of threads",
        "There is no chart of time",
        "No trial has ended.",
    ):
        assert why in page.text


def test_a_search_in_which_nothing_was_feasible_shows_what_was_in_the_way() -> None:
    trials = tuple(t for t in every_outcome() if t.outcome and not t.outcome.measurement)
    page = page_of(trials)
    assert "No configuration was feasible" in page.text
    assert "not weighed" not in page.text
    assert len(page.marks) == 6  # all but learning
    assert "Trials that met a limit" in page.text


def test_what_a_person_named_is_text_and_nothing_else() -> None:
    trials = tuple(
        dataclasses.replace(
            trial,
            config={HOSTILE: 2 + trial.number % 3, f"{HOSTILE}2": 1 + trial.number % 2},
            outcome=dataclasses.replace(trial.outcome, message=HOSTILE, log=HOSTILE),
        )
        for trial in every_outcome()
        if trial.outcome is not None
    )
    task = factories.task(
        name=HOSTILE, workload=HOSTILE, options={HOSTILE: HOSTILE}, data={"source": HOSTILE}
    )
    ending = record().ending
    assert ending is not None
    html = report_page.render(
        record(
            task=task,
            command=HOSTILE,
            baseline={HOSTILE: 2, f"{HOSTILE}2": 1},
            space={HOSTILE: [1]},
            machine={HOSTILE: [(HOSTILE, HOSTILE)]},
            ending=dataclasses.replace(ending, stop_reason=HOSTILE, profiles={"fastest": HOSTILE}),
        ),
        trials,
        RunFolder(Path(HOSTILE.replace("\x00", ""))),
        "now",
    )
    page = Page(html)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not [name for _, fields in page.tags for name in fields if name.startswith("on")]
    html.encode("utf-8")
    assert "\x00" not in html


def test_a_page_links_to_nothing_but_files_beside_it() -> None:
    links = [fields["href"] for fields in page_of(every_outcome()).all("a")]
    logs = [link for link in links if link.startswith("trials/")]
    assert logs[0] == "trials/000-baseline.log"
    assert len(logs) == len(every_outcome()) - 1  # the excluded one never ran
    assert all(link.startswith(("#", "trials/")) for link in links)


def test_a_missing_figure_breaks_no_page() -> None:
    odd = outcome(measurement=None, kind=OutcomeKind.UNSTABLE, predicted_device_bytes=0)
    page_of((Trial(number=0, stage=Stage.SEARCH, config=searches.BASELINE, outcome=odd),))


def test_a_search_that_was_killed_is_told_from_one_that_ended() -> None:
    page = page_of(every_outcome(), ending=None)
    assert "it still runs, or was killed" in page.text
    assert "interrupted" in page.text
