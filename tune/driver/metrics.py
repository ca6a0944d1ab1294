"""Metrics of a running search for Prometheus: four of them, exported by Ray's own agent.

Ray puts `ray_` before their names and `_total` behind the counter's. `grafana_dashboard.json`
draws them.
"""

import time
from collections.abc import Callable
from typing import Any

import ray.tune
import ray.util.metrics

from cluster.node import hardware, limits
from tune.preflight.findings import Preflight
from tune.search.ended import Ended
from tune.search.policy import Search

BEST = "rl_tuner_best_steps_per_second"
TRIALS = "rl_tuner_trials"
THREAD_ROOM = "rl_tuner_thread_room"
MEMORY_HEADROOM = "rl_tuner_memory_headroom_bytes"

EXPORTED = (f"ray_{BEST}", f"ray_{TRIALS}_total", f"ray_{THREAD_ROOM}", f"ray_{MEMORY_HEADROOM}")
"""The names under which a scrape finds them."""

_CLASS = "machine_class"
_PERIOD_S = 2.0


def room_here() -> int | None:
    """Return how many threads the tightest limit of this machine still allows, if one is known."""
    return limits.threads().room


class SearchMetrics(ray.tune.Callback):  # type: ignore[misc]
    """Publishes the state of a search from Tune's own loop, every few seconds.

    It repeats unchanged values too, because Ray drops a gauge that was not set within two of its
    reports (20 s by default). All have the class of the machines, as a cluster may be searched for
    several at once. The room for threads is read off the machine while Ray and a trial run; on a
    cluster trials run elsewhere, and `thread_room` knows none. The memory headroom is the budget
    less the peak of the last trial whose peak is known; it is negative if that trial did not fit.
    """

    def __init__(
        self,
        search: Search,
        preflight: Preflight,
        *,
        thread_room: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._search = search
        self._device_budget_bytes = preflight.device_budget_bytes
        self._host_budget_bytes = preflight.host_budget_bytes
        self._thread_room = thread_room
        self._clock = clock
        self._due = clock()
        self._ended = Ended()
        self._peaks: dict[str, tuple[int, int]] = {}  # the last trial's, with its number
        self._best = ray.util.metrics.Gauge(
            BEST,
            description="Env steps per second of the best configuration so far.",
            tag_keys=(_CLASS,),
        )
        self._trials = ray.util.metrics.Counter(
            TRIALS, description="Trials that ended, by outcome.", tag_keys=(_CLASS, "outcome")
        )
        self._room = ray.util.metrics.Gauge(
            THREAD_ROOM,
            description="Threads that the tightest limit still allows.",
            tag_keys=(_CLASS,),
        )
        self._headroom = ray.util.metrics.Gauge(
            MEMORY_HEADROOM,
            description="The memory budget less the last trial's peak, in bytes.",
            tag_keys=(_CLASS, "memory"),
        )
        for metric in (self._best, self._trials, self._room, self._headroom):
            metric.set_default_tags({_CLASS: hardware.machine_class(preflight.machine)})

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Publish every `_PERIOD_S`; Tune calls this several times a second."""
        if self._clock() >= self._due:
            self._due = self._clock() + _PERIOD_S
            self.publish()

    def publish(self) -> None:
        """Set every metric whose value is known."""
        for trial in self._ended.since(self._search.trials):
            self._trials.inc(tags={"outcome": str(trial.kind)})
            if trial.was_run and trial.outcome is not None:
                self._note("device", trial.number, trial.device_bytes)
                self._note("host", trial.number, trial.outcome.peak_host_bytes)
        best = self._search.best
        if best is not None and best.measurement is not None:
            self._best.set(best.measurement.steps_per_second)
        budgets = {"device": self._device_budget_bytes, "host": self._host_budget_bytes}
        for memory, (_, peak) in self._peaks.items():
            self._headroom.set(budgets[memory] - peak, tags={"memory": memory})
        room = self._thread_room()
        if room is not None:
            self._room.set(room)

    def _note(self, memory: str, number: int, peak: int | None) -> None:
        if peak:
            self._peaks[memory] = max(self._peaks.get(memory, (number, peak)), (number, peak))

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for checkpoints; a search cannot be pickled."""
        return {}
