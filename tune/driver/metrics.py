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
from search_spaces.config import num_shares
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
    Of host memory a trial has a budget for each of its GPUs.
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
        self._on_gpu = preflight.on_gpu
        self._thread_room = thread_room
        self._clock = clock
        self._due = clock()
        self._ended = Ended()
        self._left: dict[str, tuple[int, int]] = {}  # what the last trial left, with its number
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
                shares = num_shares(trial.config, on_gpu=self._on_gpu)
                host_budget_bytes = shares * self._host_budget_bytes
                self._note("device", trial.number, self._device_budget_bytes, trial.device_bytes)
                self._note("host", trial.number, host_budget_bytes, trial.outcome.peak_host_bytes)
        best = self._search.best
        if best is not None and best.measurement is not None:
            self._best.set(best.measurement.steps_per_second)
        for memory, (_, left) in self._left.items():
            self._headroom.set(left, tags={"memory": memory})
        room = self._thread_room()
        if room is not None:
            self._room.set(room)

    def _note(self, memory: str, number: int, budget: int, peak: int | None) -> None:
        if peak and number >= self._left.get(memory, (number, 0))[0]:
            self._left[memory] = number, budget - peak

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for checkpoints; a search cannot be pickled."""
        return {}
