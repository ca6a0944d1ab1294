"""A Ray Tune Searcher over a search: asks it what to run, tells it what Ray brings back."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ray.tune.search

from cluster.structure import revive
from trainables.measurement import Outcome, OutcomeKind, Progress
from trainables.ray_trainable import TrialOrder
from tune.search.policy import Search
from tune.search.trial import Trial


class Observer(Protocol):
    """Who is told what happens, as it happens."""

    def trial_started(self, trial: Trial) -> None:
        """A trial was handed to Ray."""

    def trial_progress(self, trial: Trial, progress: Progress) -> None:
        """A running trial entered another phase."""

    def trial_ended(self, trial: Trial) -> None:
        """A trial ended, or was excluded before it began."""


class StudySearcher(ray.tune.search.Searcher):  # type: ignore[misc]
    """Ray Tune asks for configurations and gets whole trial orders."""

    def __init__(
        self, search: Search, order_for: Callable[[Trial], TrialOrder], observer: Observer
    ) -> None:
        super().__init__()
        self._search = search
        self._order_for = order_for
        self._observer = observer
        self.finished = False
        self._running: dict[str, Trial] = {}
        self._orders: dict[str, TrialOrder] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._num_told = len(search.trials)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration and order; `None` to wait; FINISHED after the soak."""
        trial = self._search.ask()
        self._tell_excluded()
        if trial is None:
            if self._running:
                return None
            self.finished = True
            return str(ray.tune.search.Searcher.FINISHED)
        self._running[trial_id] = trial
        self._orders[trial_id] = order = self._order_for(trial)
        self._observer.trial_started(trial)
        return {**trial.config, "stage": trial.stage.value, "order": order}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A message from the trial's child."""
        if "outcome" in result:
            self._outcomes[trial_id] = self._take_home(trial_id, result)
        elif "progress" in result:
            progress = revive(Progress, json.loads(result["progress"]))
            self._observer.trial_progress(self._running[trial_id], progress)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The trial is over: with its outcome, or with its worker lost too often."""
        if result is not None and "outcome" in result:
            self._outcomes[trial_id] = self._take_home(trial_id, result)
        trial = self._running.pop(trial_id)
        self._orders.pop(trial_id)
        outcome = self._outcomes.pop(trial_id, None)
        if outcome is None:
            outcome = Outcome(
                kind=OutcomeKind.NODE_LOST,
                message="Ray lost the worker that ran this trial; it says nothing of the "
                "configuration, which will be tried again.",
                wall_s=0.0,
                thread_cap=0,
            )
        self._observer.trial_ended(self._search.tell(trial, outcome))
        self._num_told = len(self._search.trials)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher to go back to it, and screens do not pickle."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the Optuna journal is the truth, and a search resumes from it alone."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""

    def _take_home(self, trial_id: str, result: dict[str, Any]) -> Outcome:
        """The outcome; with a log that was written on another host, it is written here."""
        outcome = revive(Outcome, json.loads(result["outcome"]))
        order = self._orders[trial_id]
        if not order.is_remote:
            return outcome
        log = Path(order.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(result["log"])
        return dataclasses.replace(outcome, log=order.log)

    def _tell_excluded(self) -> None:
        for trial in self._search.trials[self._num_told :]:
            if not trial.was_run:
                self._observer.trial_ended(trial)
        self._num_told = len(self._search.trials)
