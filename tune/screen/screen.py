"""The screen of a search: a live view on a terminal, plain lines elsewhere, JSON for programs.

The trials share the CPUs with it, so the view is drawn only once a second, from a thread that
otherwise sleeps, and only on a terminal.
"""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from cluster.node.stdout import lasting
from cluster.pages import terminal, units
from search_spaces.config import config_name
from search_spaces.space import SearchSpace
from trainables.classify import printable
from trainables.measurement import Phase, Progress
from tune.memory.look_ahead import Foresight
from tune.preflight import view as preflight_view
from tune.preflight.findings import Preflight
from tune.preflight.trying import TriedOut
from tune.run_folder.record import SearchContext
from tune.screen import result_panel, trials_table
from tune.screen.json_lines import JsonLines
from tune.screen.tally import Tally
from tune.screen.trials_table import Running
from tune.search.ended import Ended
from tune.search.policy import Search
from tune.search.result import Kind, SearchResult
from tune.search.trial import Trial
from tune.spec import SearchSpec, Task
from tune.summary.conclusion import conclude
from tune.summary.trials import ended_line, soak_noun, started_line, unit_of

_REFRESHES_PER_SECOND = 1.0
_LONGEST_LINE = 2000

_log = logging.getLogger(__name__)


class Screen:
    """Shows the events of one search to a person or a program.

    It also logs every event, so that the run log has what scrolled away.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        console: Console | None = None,
        stdout: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Kept, because `live` redirects sys.stdout; lasting, because a pipe's reader may leave.
        self._stdout = lasting(stdout or sys.stdout)
        self._as_json = as_json
        self._console = None if as_json else console or _terminal(self._stdout)
        self._clock = clock
        self._started_at = clock()
        self._json = JsonLines(self._stdout if as_json else None, elapsed_s=self._elapsed_s)
        self._preflight: Preflight | None = None
        # The seconds left, and when. Not asked at each refresh: drawing runs beside measuring.
        self._left: tuple[float, float] | None = None
        self._search: Search | None = None
        self._running: dict[int, tuple[Phase, float]] = {}
        self._ended, self._num_measured = Ended(), 0
        self._is_live = False
        self._live: Live | None = None
        self._tally = Tally()  # of the live table

    def preflight(self, preflight: Preflight) -> None:
        """Show what the machine allows."""
        self._preflight = preflight
        self._json.preflight(preflight)
        _log.info("%s", preflight_view.meaning(preflight))
        if self._console is not None:
            self._console.print(preflight_view.render(preflight))
        else:
            for line in terminal.lines(preflight_view.sections(preflight)):
                self._line(line)

    def started(
        self,
        *,
        task: Task,
        spec: SearchSpec,
        space: SearchSpace,
        baseline: Mapping[str, Any],
        folder: Path,
    ) -> None:
        """Say what is searched, for how long at most, and where it is kept."""
        plan, noun = spec.effort_plan, soak_noun(is_command=task.is_command)
        most_s = spec.max_time_s
        time_limit = "" if most_s is None else f" In {units.duration(most_s)}, all in all."
        data = task.data.get("source", "")
        lines = [
            f"Searching {task.name}" + (f" on {data}" if data else "") + ".",
            f"Space: {space.describe()}. Baseline: {config_name(baseline)}.",
            f"Effort {spec.effort}: at most {units.plural(plan.max_runs, 'configuration')}, until "
            f"{plan.patience} in a row bring no gain; {units.plural(plan.finalists, 'leader')} and "
            f"the baseline in {units.plural(plan.final_rounds, 'round')} of finals; a soak of "
            f"{units.plural(plan.soak_updates, noun)}.{time_limit}",
            f"Objective {spec.objective}. Logs: {folder}",
            "Ctrl-C ends the search and keeps the best so far.",
        ]
        self._json.started(task=task, spec=spec, space=space, baseline=baseline, folder=folder)
        self._say(lines[0])
        for text in task.notes:
            self.note(text)
        for line in lines[1:]:
            self._say(line)

    def dashboard(self, url: str, *, metrics_url: str) -> None:
        """Say where Ray's dashboard is, and what Prometheus can scrape."""
        self._json.dashboard(url, metrics_url)
        self._say(f"Ray's dashboard: {url}")
        self._say(f"Metrics for Prometheus: {metrics_url}")

    def memory(self, foresight: Foresight) -> None:
        """Say what fits, before any trial ran."""
        self._json.memory(foresight)
        if foresight.text:
            self._say(foresight.text)

    def note(self, text: str) -> None:
        """Say a sentence."""
        self._json.note(text)
        self._say(text)

    def checked(self, tried: TriedOut, sentences: Sequence[str]) -> None:
        """Show what `--check` found of the baseline."""
        self._json.checked(tried, sentences)
        for sentence in sentences:
            self._line(sentence)

    def trial_started(self, trial: Trial) -> None:
        """Show a trial that was handed to Ray."""
        self._running[trial.number] = (Phase.START, self._clock())
        self._json.trial_started(trial)
        self._trial_line(started_line(trial))

    def trial_progress(self, trial: Trial, progress: Progress) -> None:
        """Show a running trial's new phase."""
        _, since = self._running.get(trial.number, (Phase.START, self._clock()))
        self._running[trial.number] = (progress.phase, since)
        self._json.trial_progress(trial, progress)

    def trial_ended(self, trial: Trial) -> None:
        """Show a trial that ended, or was excluded before it began."""
        self._running.pop(trial.number, None)
        self._json.trial_ended(trial)
        self._trial_line(ended_line(trial))
        self._look_ahead()
        known = () if self._search is None else self._search.trials
        self._num_measured += sum(one.measurement is not None for one in self._ended.since(known))
        is_first = self._num_measured == 1 and trial.measurement is not None
        if self._left is not None and is_first:
            self.note(f"By what this trial took, about {units.duration(self._left[0])} are left.")

    def _look_ahead(self) -> None:
        left_s = None if self._search is None else self._search.expected_s
        self._left = None if left_s is None else (left_s, self._clock())

    @contextlib.contextmanager
    def live(self, search: Search) -> Iterator[None]:
        """Show the trials while they run, and the whole table at the end."""
        self._search = search
        self._look_ahead()
        with contextlib.redirect_stdout(_Logged()):  # libraries may print, and Ray does
            if self._console is None:
                yield
            else:
                yield from self._draw_while(self._console)

    def _draw_while(self, console: Console) -> Iterator[None]:
        self._is_live = True
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            redirect_stdout=False,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
        )
        try:
            with self._live:
                yield
        finally:
            self.stop()

    def stop(self) -> None:
        """End the live view, from any thread, and show the whole table."""
        if self._live is None:
            return
        live, self._live = self._live, None
        live.stop()
        self._is_live = False
        assert self._search is not None
        assert self._console is not None
        if self._search.trials:
            self._console.print(self._trials(live=False))

    def finished(
        self,
        result: SearchResult,
        context: SearchContext,
        *,
        profiles: Mapping[Kind, Path],
        files: Sequence[Path] = (),
    ) -> None:
        """Show the result, what was written, and what to run next."""
        conclusion = conclude(result, context, profiles=profiles, files=files)
        self._json.finished(conclusion, result, profiles=profiles, files=files)
        _log.info("%s", conclusion.headline)
        for warning in conclusion.warnings:
            _log.info("warning: %s", warning)
        if self._console is not None:
            self._console.print(result_panel.render(conclusion, result))
            for label, command in conclusion.commands:
                # To be copied: neither wrapped nor cropped nor read as markup.
                self._console.print(f"{label}:", style="dim")
                self._console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)
            return
        self._line(conclusion.headline)
        for name, speed, processes, memory in result_panel.finals_rows(result):
            failed = not speed[:1].isdigit()  # then it says how
            unit = "" if failed else f" {unit_of(result.trials)}/s"
            ran = units.plural(int(processes), "process")
            self._line(f"  finals: {name}: {speed}{unit}, {ran}, {memory}")
        warnings = (("warning", warning) for warning in conclusion.warnings)
        for label, text in (*conclusion.rows, *warnings, *conclusion.commands):
            self._line(f"  {label}: {text}")

    def _draw(self) -> RenderableType:
        return Group(self._trials(live=True), Text(self._time(), style="bold"))

    def _trials(self, *, live: bool) -> RenderableType:
        assert self._search is not None
        assert self._console is not None
        now = self._clock()
        running = {
            number: Running(phase=phase, seconds=now - since)
            for number, (phase, since) in dict(self._running).items()
        }
        width, height = self._console.size
        most_rows = trials_table.live_rows(height) if live else None
        tally, trials = self._tally if live else None, self._search.trials
        return trials_table.render(trials, running, width=width, most_rows=most_rows, tally=tally)

    def _time(self) -> str:
        """Return the line with the elapsed time and what is typically left."""
        elapsed, left = units.duration(self._elapsed_s()), ""
        if self._left is not None:
            left_s, since = self._left
            left = f", about {units.duration(max(0.0, left_s - self._clock() + since))} left"
        return f"{elapsed} elapsed{left}. Ctrl-C keeps the best so far."

    def _trial_line(self, line: str) -> None:
        _log.info("%s", line)
        if not self._is_live:
            self._line(line)

    def _say(self, text: str) -> None:
        _log.info("%s", text)
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False)
        else:
            self._line(text)

    def _line(self, text: str) -> None:
        if not self._as_json:
            print(text, file=self._stdout, flush=True)

    def _elapsed_s(self) -> float:
        return self._clock() - self._started_at


class _Logged(io.TextIOBase):
    """A stream into the run log."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                _log.info("printed: %s", printable(line, _LONGEST_LINE))
        return len(text)


def _terminal(stdout: TextIO) -> Console | None:
    """Return a console for a terminal; `None` for a file or a pipe."""
    if not stdout.isatty():
        return None
    return Console(file=stdout)
