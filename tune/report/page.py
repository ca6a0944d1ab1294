"""The report of one search as a page: the result first, then the evidence, then the commands.

summary/conclusion.py has the sentences, trainings.py, speed.py, learning.py and usage.py the
charts.
"""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.pages import page, table, units
from cluster.pages.elements import Content, Element, element
from cluster.pages.page import Section
from cluster.pages.table import TableBar
from search_spaces.config import ConfigKey, config_key, config_name, config_text
from tune.report import learning, trainings
from tune.report import speed as report_speed
from tune.report import table as report_table
from tune.report import usage as report_usage
from tune.run_folder.folder import RunFolder
from tune.run_folder.record import RunRecord, SearchContext, SearchEnd
from tune.search import kept
from tune.search.candidates import result_of
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.trial import Trial
from tune.summary.conclusion import Conclusion, conclude, limited_by
from tune.summary.trials import unit_of


def render(record: RunRecord, trials: tuple[Trial, ...], folder: RunFolder, now: str) -> str:
    """Return the whole page. `now` is the time of writing; its links are to files of `folder`."""
    ending = record.ending or SearchEnd(
        stop_reason="no end is on record: it still runs, or was killed",
        partial=True,
        wall_s=_ran_s(trials),
        profiles={},
    )
    judged = kept.forgiven(trials, record.first_trial)
    result = result_of(
        tuple(kept.within(judged, record.context.device_budget_bytes)),
        objective=record.context.objective,
        baseline=record.baseline,
        stop_reason=ending.stop_reason,
        partial=ending.partial,
        wall_s=ending.wall_s,
        learning=record.context.learning,
    )
    profiles = {Kind(kind): Path(path) for kind, path in ending.profiles.items()}
    conclusion = conclude(result, record.context, profiles=profiles, files=())
    started = _moment(record.started_at)
    return page.render(
        title=f"{record.task.name}: {conclusion.headline}",
        kicker=f"{record.task.name} on {_machine_name(record)}, started {started}",
        headline=conclusion.headline,
        lead=_lead(conclusion, limited_by(result, record.context)),
        sections=[
            _section("result", "Result", _result(conclusion, result)),
            *_learning(result),
            _section("speed", "Speed", _speed(result)),
            _section("progress", "How the search went", _progress(result)),
            _section("limits", "Memory and threads", _limits(result, record.context)),
            _section("time", "Where the time went", _time(result, record.first_trial)),
            _section("trials", "All trials", report_table.render(result, _names(result))),
            _section("machine", "Machine and versions", _machine(record)),
            _section("reproduce", "How to reproduce", _reproduce(record, conclusion, folder, now)),
        ],
    )


def _section(anchor: str, title: str, content: Sequence[Content]) -> Section:
    return Section(anchor=anchor, title=title, content=content)


def _lead(conclusion: Conclusion, limits: str) -> list[Content]:
    warnings = [element("p", f"Warning: {text}", class_="warn") for text in conclusion.warnings]
    return [element("p", limits, class_="lead"), *warnings]


def _result(conclusion: Conclusion, result: SearchResult) -> list[Content]:
    content: list[Content] = [page.rows(conclusion.rows)]
    bars = [
        TableBar(
            label=f"{config_name(candidate.config)} ({', '.join(names)})",
            value=candidate.steps_per_second,
            text=units.speed_interval(candidate.steps_per_second, candidate.low, candidate.high),
            color="quiet" if "baseline" in names else "accent",
        )
        for candidate, names in _contenders(result)
    ]
    if bars:
        content.append(table.bars(f"{unit_of(result.trials)}/s, with the 95 % interval", bars))
    return content


def _contenders(result: SearchResult) -> list[tuple[Candidate, list[str]]]:
    """Return the configurations that have names, each with all of its names, the fastest first."""
    named: list[tuple[str, Candidate]] = [
        (kind.value, candidate) for kind, candidate in result.chosen.items()
    ]
    if result.baseline is not None:
        named.append(("baseline", result.baseline))
    groups: dict[ConfigKey, tuple[Candidate, list[str]]] = {}
    for name, candidate in named:
        groups.setdefault(config_key(candidate.config), (candidate, []))[1].append(name)
    return sorted(groups.values(), key=lambda group: -group[0].steps_per_second)


def _names(result: SearchResult) -> dict[ConfigKey, str]:
    return {config_key(one.config): ", ".join(names) for one, names in _contenders(result)}


def _learning(result: SearchResult) -> list[Section]:
    """Return the section of the trainings from scratch, where there were any."""
    judgement = result.judgement
    if judgement is None:
        return []
    return [_section("learning", "Learning", trainings.render(result, judgement))]


def _speed(result: SearchResult) -> list[Content]:
    charts = [report_speed.landscape(result)]
    weighs = any(candidate.noise_scale is not None for candidate in result.chosen.values())
    if weighs or result.judgement is None:  # else the section above has what was trained
        charts.append(learning.learning(result))
    return [page.charts(*charts)]


def _limits(result: SearchResult, context: SearchContext) -> list[Content]:
    memory, threads = report_usage.memory, report_usage.threads
    return [page.charts(memory(result, context), threads(result, context))]


def _progress(result: SearchResult) -> list[Content]:
    return [page.charts(report_speed.by_trial(result), report_speed.by_second(result))]


def _ran_s(trials: Iterable[Trial]) -> float:
    return max(report_speed.running_s(trials).values(), default=0.0)


def _time(result: SearchResult, first_trial: int) -> list[Content]:
    """Return the chart of each trial's time, and the sums by phase and between trials.

    The wall time of a resumed search is that of its last session, which began with `first_trial`.
    """
    totals: dict[str, float] = {}
    for trial in result.trials:
        if trial.outcome is not None and trial.outcome.wall_s > 0:
            for label, spent_s in report_usage.seconds(trial).items():
                totals[label] = totals.get(label, 0.0) + spent_s

    def words_of(spent_s: float) -> str:
        return f"{spent_s:.1f} s" if spent_s < 9.95 else units.duration(spent_s)

    colors = dict(report_usage.PHASE_LEGEND.values()) | {report_usage.OTHER.name: "c7"}
    bars = [
        TableBar(label=label, value=spent_s, text=words_of(spent_s), color=colors[label])
        for label, spent_s in totals.items()
    ]
    content = [report_usage.time_by_trial(result)]
    if bars:
        session = [trial for trial in result.trials if trial.number >= first_trial]
        outside_s = max(0.0, result.wall_s - _ran_s(session))
        label = "no trial ran" + ", last session" * (first_trial > 0)
        bars.append(TableBar(label=label, value=outside_s, text=words_of(outside_s), color="quiet"))
        content.append(table.bars("Over the whole search", bars))
    return [page.charts(*content)]


def _machine(record: RunRecord) -> list[Content]:
    return [
        item
        for heading, rows in record.machine.items()
        if rows
        for item in (element("h3", heading), page.rows([(label, text) for label, text in rows]))
    ]


def _machine_name(record: RunRecord) -> str:
    rows = dict(record.machine.get("Machine", []))
    gpu = rows.get("GPU", "none")
    return rows.get("CPU", "an unnamed machine") if gpu == "none" else gpu


def _moment(iso: str) -> str:
    """Return `2026-01-02 03:04 UTC` for an ISO time in UTC."""
    return f"{iso[:16].replace('T', ' ')} UTC"


def _reproduce(
    record: RunRecord, conclusion: Conclusion, folder: RunFolder, now: str
) -> list[Content]:
    task = record.task
    space = [f"{name} {', '.join(map(str, values))}" for name, values in record.space.items()]
    data = [f"{name}: {value}" for name, value in task.data.items()]
    given = [f"{name}: {value}" for name, value in task.options.items() if value is not None]
    rows: list[tuple[str, Content]] = [
        ("workload", task.workload),
        ("options", ", ".join(given)),
        ("data", ", ".join(data)),
        ("space", "; ".join(space)),
        ("baseline", config_text(record.baseline)),
        ("objective", record.context.objective.value),
        ("files", _links(folder)),
        ("this page", f"made {_moment(now)}"),
    ]
    commands = [
        ("search again", record.command),
        *conclusion.commands,
        ("make this page again", f"python -m tune.report {shlex.quote(str(folder.path))}"),
    ]
    return [*page.commands(commands), page.rows([row for row in rows if row[1] != ""])]


def _links(folder: RunFolder) -> Element:
    """Return links to the files beside the page, each with its purpose."""
    files: list[Content] = []
    for name, what in _FILES:
        if (folder.path / name).exists():
            files += [element("a", name, href=name), f" ({what}) "]
    return element("span", *files)


_FILES = (
    ("trials.csv", "for a spreadsheet"),
    ("trials.json", "with everything"),
    ("journal.log", "Optuna's journal, the truth"),
    ("run.log", "what the search logged"),
)
