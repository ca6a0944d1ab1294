"""Tune's MLflow callback, made to survive the loss of the tracking server."""

import functools
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from ray.air.integrations.mlflow import MLflowLoggerCallback

_log = logging.getLogger(__name__)

_LAST_S = 30.0
"""Seconds that the end of a search waits for what is not logged yet."""


class PatientMLflow(MLflowLoggerCallback):  # type: ignore[misc]
    """Logs one run per trial until MLflow fails; then the search goes on without it.

    It does so in a thread. The client of a lost server tries again for minutes, and in Tune's own
    loop no trial would be started, nor any worker heard, meanwhile.
    """

    def setup(self, *arguments: Any, **more: Any) -> None:
        """Find or make the experiment, and start the thread."""
        super().setup(*arguments, **more)
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def log_trial_start(self, trial: Any) -> None:
        """Open a run with the trial's configuration as its parameters."""
        self._put(functools.partial(super().log_trial_start, trial))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Log a message's numbers."""
        self._put(functools.partial(super().log_trial_result, iteration, trial, result))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Close the run."""
        self._put(functools.partial(super().log_trial_end, trial, failed))

    def on_experiment_end(self, trials: Any, **info: Any) -> None:
        """Wait for the thread to log what is left, for as long as that may take."""
        self._put(None)
        self._thread.join(_LAST_S)
        if self._thread.is_alive():
            _log.error("MLflow does not take what is left; the search ends without that.")

    def _put(self, call: Callable[[], None] | None) -> None:
        if self._thread.is_alive():
            self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception:  # noqa: BLE001  # whatever it is, the search does without MLflow
                _log.exception("MLflow failed; the search goes on and logs no more to it.")
                return  # its client retried for minutes; do not repeat that for every trial
