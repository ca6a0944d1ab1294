"""The events of a search as JSON lines, for a program that reads them."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from search_spaces.space import SearchSpace
from trainables.measurement import Progress
from tune.memory.look_ahead import Foresight
from tune.preflight import view as preflight_view
from tune.preflight.findings import Preflight
from tune.preflight.trying import TriedOut
from tune.run_folder import trials as trial_files
from tune.screen import result_panel
from tune.search.result import Kind, SearchResult
from tune.search.trial import Trial
from tune.spec import SearchSpec, Task
from tune.summary.conclusion import Conclusion

JSON_SCHEMA_VERSION = 1


class JsonLines:
    """Writes one line per event to `stdout`, and nothing where it is `None`.

    `elapsed_s` returns the seconds since the search began.
    """

    def __init__(self, stdout: TextIO | None, *, elapsed_s: Callable[[], float]) -> None:
        self._stdout = stdout
        self._elapsed_s = elapsed_s

    def preflight(self, preflight: Preflight) -> None:
        """Write what the machine allows."""
        self._write("preflight", preflight_view.to_dict(preflight))

    def started(
        self,
        *,
        task: Task,
        spec: SearchSpec,
        space: SearchSpace,
        baseline: Mapping[str, Any],
        folder: Path,
    ) -> None:
        """Write what is searched, for how long at most, and where it is kept."""
        fields = {
            "task": task.name,
            "workload": task.workload,
            "data": task.data,
            "space": {axis.name: list(axis.values) for axis in space.axes},
            "baseline": dict(baseline),
            "objective": spec.objective.value,
            "max_runs": spec.effort_plan.max_runs,
            "max_time_s": spec.max_time_s,
            "folder": str(folder),
        }
        self._write("started", fields)

    def dashboard(self, url: str, metrics_url: str) -> None:
        """Write the addresses of Ray's dashboard and of its metrics."""
        self._write("dashboard", {"url": url, "metrics_url": metrics_url})

    def memory(self, foresight: Foresight) -> None:
        """Write what fits into memory."""
        found = foresight.capacity
        fields: dict[str, Any] = {"text": foresight.text, "wall_s": foresight.wall_s}
        if found is not None:
            fields |= {
                "budget_bytes": found.budget_bytes,
                "everything_fits": found.everything_fits,
                "largest_num_envs": found.num_envs_that_fit(always=False),
                "programs_compiled": len(foresight.compiled),
            }
        self._write("memory", fields)

    def note(self, text: str) -> None:
        """Write a sentence for people."""
        self._write("note", {"text": text})

    def checked(self, tried: TriedOut, sentences: Sequence[str]) -> None:
        """Write what `--check` found of the baseline."""
        fields = {"text": sentences, "config": tried.config}
        self._write("checked", fields | {"outcome": dataclasses.asdict(tried.outcome)})

    def trial_started(self, trial: Trial) -> None:
        """Write a trial that starts."""
        self._write("trial_started", {"trial": trial_files.to_dict(trial)})

    def trial_progress(self, trial: Trial, progress: Progress) -> None:
        """Write the phase that a running trial entered."""
        fields = {
            "number": trial.number,
            "phase": progress.phase.value,
            "predicted_device_bytes": progress.predicted_device_bytes,
        }
        self._write("trial_progress", fields)

    def trial_ended(self, trial: Trial) -> None:
        """Write a trial with its outcome."""
        self._write("trial_ended", {"trial": trial_files.to_dict(trial)})

    def finished(
        self,
        conclusion: Conclusion,
        result: SearchResult,
        *,
        profiles: Mapping[Kind, Path],
        files: Sequence[Path],
    ) -> None:
        """Write the result, and the files that were written."""
        figures = result_panel.to_dict(conclusion, result, profiles)
        self._write("finished", figures | {"files": [str(path) for path in files]})

    def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        if self._stdout is None:
            return
        elapsed_s = round(self._elapsed_s(), 3)
        message = {"schema": JSON_SCHEMA_VERSION, "event": event, "elapsed_s": elapsed_s, **fields}
        text = json.dumps(trial_files.without_nan(message), allow_nan=False, default=str)
        print(text, file=self._stdout, flush=True)
