"""A Ray Tune Searcher over a search: it asks for trials, and tells their outcomes."""

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ray.tune.search

from cluster.structure import revive
from search_spaces.config import num_devices, num_shares
from trainables.measurement import Outcome, OutcomeKind, Progress
from trainables.ray_trainable import Place, TrialOrder
from tune.driver.hosts.places import Places
from tune.search.policy import Search
from tune.search.trial import Trial

_log = logging.getLogger(__name__)

_GRACE_S = 60.0
"""Seconds of patience with a worker, beyond its trial's time."""


class Observer(Protocol):
    """The receiver of a search's events, such as the screen."""

    def trial_started(self, trial: Trial) -> None:
        """Take note of a trial that was handed to Ray."""

    def trial_progress(self, trial: Trial, progress: Progress) -> None:
        """Take note of a running trial's new phase."""

    def trial_ended(self, trial: Trial) -> None:
        """Take note of a trial that ended, or was excluded before it began."""


@dataclasses.dataclass(kw_only=True)
class _Run:
    """A trial that was handed to Ray, and what its worker said last.

    Past its `deadline` a worker counts as silent; `None` means that it has none. `is_waiting` says
    that Ray has not started the trial, as far as is known.
    """

    trial: Trial
    order: TrialOrder
    deadline: float | None = None
    is_waiting: bool = True
    outcome: Outcome | None = None


class StudySearcher(ray.tune.search.Searcher):  # type: ignore[misc]
    """Gives Ray Tune whole trial orders where it asks for configurations."""

    def __init__(
        self,
        search: Search,
        order_for: Callable[[Trial], TrialOrder],
        observer: Observer,
        places: Places,
    ) -> None:
        super().__init__()
        self._search = search
        self._order_for = order_for
        self._observer = observer
        self._places = places
        self.finished = False
        self.busy = threading.RLock()
        """Held while the search is changed: its end may be written by another thread."""
        self.is_unwritable = False
        """Whether the search's folder cannot be written any more; then it is over."""
        self._runs: dict[str, _Run] = {}
        self._postponed: Trial | None = None
        self._num_told = len(search.trials)
        places.resume(search.trials)
        places.leave_out(search.slow_gpus())

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's configuration and order; `None` to wait; FINISHED at the end."""
        with self.busy:
            if not self.is_unwritable:
                try:
                    return self._suggest(trial_id)
                except OSError as error:
                    self._give_up(error)
            return str(ray.tune.search.Searcher.FINISHED)

    def is_silent(self) -> bool:
        """Return whether a worker has not answered for longer than its trial may take.

        The worker watches its trial, but who watches the worker? One that waits for its turn on a
        busy cluster is not meant.
        """
        now = time.monotonic()
        deadlines = [run.deadline for run in list(self._runs.values())]
        return any(deadline is not None and now > deadline for deadline in deadlines)

    def waiting(self) -> list[Place]:
        """Return the places of the trials that Ray has not started yet, as far as is known."""
        return [run.order.place for run in list(self._runs.values()) if run.is_waiting]

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._num_taken() >= self._places.num_trials:
            return None
        trial = self._next()
        if trial is None:
            if self._runs:
                return None
            self.finished = True
            return str(ray.tune.search.Searcher.FINISHED)
        if self._num_taken() + self._num_places(trial) > self._places.num_trials:
            self._postponed = trial  # others would take its GPUs one by one
            return None
        order = self._order_for(trial)
        run = self._runs[trial_id] = _Run(trial=trial, order=order)
        if order.timeout_s is not None and not order.is_remote:  # it waits for no other's turn
            run.deadline = time.monotonic() + order.timeout_s + 2 * _GRACE_S
        self._observer.trial_started(trial)
        return {**trial.config, "stage": trial.stage.value, "order": order}

    def _next(self) -> Trial | None:
        """Return the trial that waits for its GPUs, or ask for one; tell those that find too few.

        GPUs that die, and hosts that leave, are not there for what needs all of them.
        """
        while True:
            trial, self._postponed = self._postponed or self._search.ask(), None
            self._tell_excluded()
            most = self._places.most_gpus
            if trial is None or most is None or num_devices(trial.config) <= most:
                return trial
            outcome = Outcome(
                kind=OutcomeKind.INVALID,
                message=f"it needs {num_devices(trial.config)} GPUs of one host, and {most} "
                "are left; not run.",
                wall_s=0.0,
                thread_cap=0,
            )
            self._observer.trial_ended(self._search.tell(trial, outcome))

    def _num_taken(self) -> int:
        return sum(self._num_places(run.trial) for run in list(self._runs.values()))

    def _num_places(self, trial: Trial) -> int:
        """Return how many of the places a trial takes: one for each of its GPUs."""
        return num_shares(trial.config, on_gpu=self._places.most_gpus is not None)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take a message from the trial's child."""
        run = self._runs[trial_id]
        run.is_waiting = False
        if "outcome" in result:
            run.outcome = _taken_home(run.order, result)
        elif "progress" in result:
            if run.order.timeout_s is not None:
                run.deadline = time.monotonic() + run.order.timeout_s + _GRACE_S
            progress = revive(Progress, json.loads(result["progress"]))
            self._observer.trial_progress(run.trial, progress)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the search a trial's outcome; without one, that its worker was lost."""
        with self.busy:
            try:
                self._complete(trial_id, result)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.is_unwritable = True
        _log.error("the search's folder cannot be written: %s", error)

    def _complete(self, trial_id: str, result: dict[str, Any] | None) -> None:
        run = self._runs[trial_id]
        outcome = run.outcome
        if result is not None and "outcome" in result:
            outcome = _taken_home(run.order, result)
        del self._runs[trial_id]
        if outcome is None:
            outcome = Outcome(
                kind=OutcomeKind.NODE_LOST,
                message="Ray lost the worker that ran this trial; it says nothing of the "
                "configuration, which will be tried again.",
                wall_s=0.0,
                thread_cap=0,
            )
        outcome = self._places.give_back(run.order.place, outcome)
        self._observer.trial_ended(self._search.tell(run.trial, outcome))
        self._places.leave_out(self._search.slow_gpus())

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for checkpoints; a screen cannot be pickled."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a search resumes from the Optuna journal alone."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: see `save`."""

    def _tell_excluded(self) -> None:
        for trial in self._search.trials[self._num_told :]:
            if not trial.was_run:
                self._observer.trial_ended(trial)
        self._num_told = len(self._search.trials)


def _taken_home(order: TrialOrder, result: dict[str, Any]) -> Outcome:
    """Return the outcome; write its log here if the trial ran on another host."""
    outcome = revive(Outcome, json.loads(result["outcome"]))
    if not order.is_remote:
        return outcome
    log = Path(order.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(result["log"])
    return dataclasses.replace(outcome, log=order.log, host=result.get("node_ip"))
