"""The report of a search: whatever a search was like, the page is whole, true and harmless."""

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import searches
from cluster.errors import UserError
from cluster.pages import units
from factories import candidate, measurement, outcome, result
from places import ROOT
from search_spaces.space import Axis, SearchSpace
from searches import HOSTILE, every_outcome, foreign, record
from trainables.measurement import OutcomeKind
from tune.jax_phase12 import JaxSpec
from tune.report import learning
from tune.report import page as report_page
from tune.report import speed as report_speed
from tune.report.marks import MARKS
from tune.report.write import write_report
from tune.run_folder import record as record_file
from tune.run_folder.folder import RunFolder
from tune.run_folder.record import RunRecord, SearchContext
from tune.search.result import Kind
from tune.search.study import Limits, Study
from tune.search.trial import Stage, Trial
from tune.summary.conclusion import limited_by
from tune.summary.outcomes import EXPLANATIONS

SECTIONS = ["result", "speed", "progress", "limits", "time", "trials", "machine", "reproduce"]
NO_LIMITS = Limits(num_threads=None, device_bytes=None, host_bytes=None)


class Page(HTMLParser):
    """What a browser makes of a report, as far as a test needs it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.marks: list[int] = []  # per chart
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in attrs}
        self.tags.append((tag, fields))
        if tag == "figure":
            self.marks.append(0)
        if "mark" in fields.get("class", "").split():
            self.marks[-1] += 1

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [fields for name, fields in self.tags if name == tag]


def page_of(trials: tuple[Trial, ...], **changes: Any) -> Page:
    html = report_page.render(record(**changes), trials, RunFolder(Path("runs/one")), "2026-01-03")
    page = Page(html)
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert all(page.marks), "a chart without marks should be a sentence instead"
    return page


def test_every_outcome_is_on_the_page_with_its_mark() -> None:
    page = page_of(every_outcome())
    for advice in EXPLANATIONS.values():
        assert advice.short in page.text
    for kind in OutcomeKind:
        assert f"it ended as {kind}." in page.text or kind in searches.MEASURED
    assert len(page.marks) == 7
    assert "There is no chart" not in page.text


def test_every_end_without_a_speed_has_a_mark_of_its_own() -> None:
    assert MARKS.keys() == set(OutcomeKind) - set(searches.MEASURED)
    assert len(set(MARKS.values())) == len(MARKS)


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


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ((), "all trials had the same values on every axis"),
        (("population",), "Speed over population"),
        (("population", "horizon"), "Speed over population and horizon"),
        (("a", "b", "c"), "Each square is the best over c."),
        (("batch_size", "num_envs", "num_steps"), "Speed over num_envs and num_steps"),
        (("vectorized_envs", "batch_size"), "Speed over vectorized_envs and batch_size"),
    ],
)
def test_the_axes_are_those_of_the_workload(axes: tuple[str, ...], said: str) -> None:
    page = page_of(foreign(*axes), baseline={"depth": 3, **dict.fromkeys(axes, 2)})
    assert said in page.text
    assert "no trial's program said how many bytes it needs" in page.text
    assert "no trial measured a gradient noise scale" in page.text
    assert "Every trial: depth 3." in page.text


def test_learning_needs_a_batch_size() -> None:
    trials = tuple(
        dataclasses.replace(trial, config={"num_envs": 2 + trial.number})
        for trial in every_outcome()
    )
    page = page_of(trials, baseline={"num_envs": 2})
    assert "that needs an axis named batch_size" in page.text


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
    task = searches.task(
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


def test_a_missing_figure_breaks_no_page() -> None:
    odd = outcome(measurement=None, kind=OutcomeKind.UNSTABLE, predicted_device_bytes=0)
    page_of((Trial(number=0, stage=Stage.SEARCH, config=searches.BASELINE, outcome=odd),))


def test_a_search_that_was_killed_is_told_from_one_that_ended() -> None:
    page = page_of(every_outcome(), ending=None)
    assert "it still runs, or was killed" in page.text
    assert "interrupted" in page.text


@pytest.mark.parametrize(("first_trial", "said"), [(0, "no trial ran"), (10, "last session")])
def test_the_time_between_trials_is_that_of_the_session_whose_time_is_known(
    first_trial: int, said: str
) -> None:
    trials = every_outcome()
    ran_s = 10.0 * sum(trial.number >= first_trial for trial in trials)
    page = page_of(trials, first_trial=first_trial)
    assert said in page.text
    assert units.duration(400.0 - ran_s) in page.text  # the record's wall_s less what trials took


def test_the_best_so_far_only_climbs_and_finals_and_slow_ones_do_not_count() -> None:
    def trial(number: int, speed: float, stage: Stage, kind: OutcomeKind) -> Trial:
        trial = searches.ended(number, searches.BASELINE, kind, stage=stage)
        assert trial.outcome is not None
        measured = measurement(steps_per_second=speed)
        ended = dataclasses.replace(trial.outcome, measurement=measured)
        return dataclasses.replace(trial, outcome=ended)

    trials = [
        trial(0, 3.0, Stage.BASELINE, OutcomeKind.COMPLETED),
        trial(1, 2.0, Stage.SEARCH, OutcomeKind.COMPLETED),
        trial(2, 9.0, Stage.SEARCH, OutcomeKind.SLOW),
        trial(3, 4.0, Stage.SEARCH, OutcomeKind.COMPLETED),
        trial(4, 8.0, Stage.FINAL, OutcomeKind.COMPLETED),
    ]
    steps = report_speed.best_so_far(trials, lambda trial: float(trial.number))
    assert steps == [(0.0, 3.0), (1.0, 3.0), (3.0, 4.0), (4.0, 4.0)]


def test_no_point_of_the_pareto_front_is_beaten_in_both() -> None:
    front = [(0.2, 5.0), (0.9, 1.0), (0.5, 4.0), (0.5, 3.0), (0.1, 4.5)]
    assert learning.pareto_front(front) == [(0.2, 5.0), (0.5, 4.0), (0.9, 1.0)]


@pytest.mark.parametrize(
    ("spans", "ends"),
    [
        ([(0, 10), (12, 20)], [10, 18]),  # one after the other
        ([(0, 10), (2, 5), (4, 12)], [10, 5, 12]),  # side by side
        ([(0, 10), (100_000, 100_005)], [10, 15]),  # resumed a day later
    ],
)
def test_seconds_pass_while_trials_run(spans: list[tuple[int, int]], ends: list[int]) -> None:
    trials = [
        Trial(number=n, stage=Stage.SEARCH, config={}, started_at=1e9 + a, ended_at=1e9 + b)
        for n, (a, b) in enumerate(spans)
    ]
    assert list(report_speed.running_s(trials).values()) == pytest.approx(
        [ends[n] for n in report_speed.running_s(trials)]
    )


@pytest.mark.parametrize(
    ("device_bytes", "said"),
    [
        (150_000_000, r"No limit is near: it takes \d+ % of the \w+ ?\w* allowed"),
        (9_000_000_000, r"What limits it: device memory, of which it takes 8\d %"),
    ],
)
def test_the_limit_that_is_near_is_named(device_bytes: int, said: str) -> None:
    found = result(chosen={Kind.FASTEST: candidate(device_bytes=device_bytes)})
    assert re.match(said, limited_by(found, record().context))


def write_search(folder: Path, trials: int = 1) -> RunFolder:
    """A search's folder as a search leaves it when it is killed."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    axes = tuple(Axis(name=n, values=(v, 2 * v)) for n, v in searches.BASELINE.items())
    study = Study.create(run.journal, space=SearchSpace(axes=axes), limits=NO_LIMITS, identity={})
    for _ in range(trials):
        study.tell(study.ask(Stage.BASELINE, searches.BASELINE), outcome(), score=1.0)
    record_file.write(run, record(ending=None))
    return run


def run_command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tune.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def test_a_report_is_made_again_from_the_folder_of_a_killed_search(tmp_path: Path) -> None:
    run = write_search(tmp_path / "one")
    journal = run.journal.read_bytes()
    ended = run_command(run.path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{run.report}\n"
    assert "it still runs, or was killed" in run.report.read_text()
    assert run.journal.read_bytes() == journal


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    written = record()
    record_file.write(run, written)
    known = record_file.read(run)
    assert known == dataclasses.replace(
        written,
        machine={name: [list(row) for row in rows] for name, rows in written.machine.items()},
    )
    assert isinstance(known.context, SearchContext)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no search.json, so it is no folder of a search"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"schema_version": 2}', "is of schema version 2; this reads 1"),
        ('{"schema_version": 1, "command": ""}', "cannot be read"),
    ],
)
def test_a_folder_that_is_none_of_a_search_is_a_mistake(
    content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "search.json").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        write_report(RunFolder(tmp_path))


@pytest.mark.parametrize("arguments", [["nowhere"], [Path(__file__)]])
def test_a_mistake_is_one_sentence(arguments: list[str]) -> None:
    ended = run_command(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_the_command_line_is_kept_without_credentials() -> None:
    given = ["/usr/bin/python3", "-m", "tune.jax_phase12", "--x", "a b", "--to", "http://me:pw@h/x"]
    assert record_file.command_line(given) == (
        "python -m tune.jax_phase12 --x 'a b' --to http://h/x"
    )


def test_the_record_is_plain_json_that_names_its_version(tmp_path: Path) -> None:
    record_file.write(RunFolder(tmp_path), record())
    document = json.loads((tmp_path / "search.json").read_text())
    assert document["schema_version"] == 1
    assert document.keys() - {"schema_version"} == {
        field.name for field in dataclasses.fields(RunRecord)
    }


def test_what_a_search_is_judged_against_is_the_same_on_screen_and_page() -> None:
    context = SearchContext.of(
        JaxSpec(baseline=("num_envs=2",)), searches.task(), searches.preflight()
    )
    assert not context.baseline_is_default
    assert context.thread_room == 1000
