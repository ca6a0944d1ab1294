"""What Prometheus can scrape of a running search: four metrics, exported by Ray's own agent.

Ray puts `ray_` before their names, and `_total` behind the counter's. `grafana_dashboard.json`
draws them.
"""

from collections.abc import Callable
from typing import Protocol

import ray.util.metrics

from cluster.node import limits
from trainables.measurement import Progress
from tune.preflight import Preflight
from tune.result import Trial

BEST = "rl_tuner_best_steps_per_second"
TRIALS = "rl_tuner_trials"
THREAD_ROOM = "rl_tuner_thread_room"
MEMORY_HEADROOM = "rl_tuner_memory_headroom_bytes"

EXPORTED = (f"ray_{BEST}", f"ray_{TRIALS}_total", f"ray_{THREAD_ROOM}", f"ray_{MEMORY_HEADROOM}")
"""The names under which a scrape finds them."""


class Ranked(Protocol):
    """What the metrics ask of a search."""

    @property
    def best(self) -> Trial | None:
        """The best explored trial so far."""


class SearchMetrics:
    """An observer that keeps the metrics of one search. Needs no Ray until the first trial.

    The room for threads is read off the machine at every event, Ray and the trial included. The
    headroom is that of the last trial that ended: its budget less its peak, negative if it did not
    fit, and left as it is by a trial whose peak is not known.
    """

    def __init__(
        self,
        search: Ranked,
        preflight: Preflight,
        *,
        thread_room: Callable[[], int | None] = lambda: limits.threads().room,
    ) -> None:
        self._search = search
        self._device_budget_bytes = preflight.device_budget_bytes
        self._host_budget_bytes = preflight.host_budget_bytes
        self._thread_room = thread_room
        self._best = ray.util.metrics.Gauge(
            BEST, description="Env steps per second of the best configuration so far."
        )
        self._trials = ray.util.metrics.Counter(
            TRIALS, description="Trials that ended, by outcome.", tag_keys=("outcome",)
        )
        self._room = ray.util.metrics.Gauge(
            THREAD_ROOM, description="Threads that the tightest limit still allows."
        )
        self._headroom = ray.util.metrics.Gauge(
            MEMORY_HEADROOM,
            description="The memory budget less the last trial's peak, in bytes.",
            tag_keys=("memory",),
        )

    def trial_started(self, trial: Trial) -> None:
        """A trial was handed to Ray."""
        self._read_room()

    def trial_progress(self, trial: Trial, progress: Progress) -> None:
        """A running trial entered another phase."""
        self._read_room()

    def trial_ended(self, trial: Trial) -> None:
        """A trial ended, or was excluded before it began."""
        assert trial.outcome is not None
        self._trials.inc(tags={"outcome": trial.outcome_name})
        best = self._search.best
        if best is not None and best.measurement is not None:
            self._best.set(best.measurement.steps_per_second)
        if trial.device_bytes is not None:
            self._set_headroom("device", self._device_budget_bytes - trial.device_bytes)
        if trial.outcome.peak_host_bytes is not None:
            self._set_headroom("host", self._host_budget_bytes - trial.outcome.peak_host_bytes)
        self._read_room()

    def _set_headroom(self, memory: str, number_bytes: int) -> None:
        self._headroom.set(number_bytes, tags={"memory": memory})

    def _read_room(self) -> None:
        room = self._thread_room()
        if room is not None:
            self._room.set(room)
