"""Tune's MLflow callback, made to survive the loss of the tracking server."""

import logging
from collections.abc import Callable
from typing import Any

import mlflow.exceptions
from ray.air.integrations.mlflow import MLflowLoggerCallback

_log = logging.getLogger(__name__)


class PatientMLflow(MLflowLoggerCallback):  # type: ignore[misc]
    """Logs one run per trial until MLflow fails; then the search goes on without it."""

    _is_lost = False

    def log_trial_start(self, trial: Any) -> None:
        """Open a run with the trial's configuration as its parameters."""
        self._attempt(super().log_trial_start, trial)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Log a message's numbers."""
        self._attempt(super().log_trial_result, iteration, trial, result)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Close the run."""
        self._attempt(super().log_trial_end, trial, failed)

    def _attempt(self, log: Callable[..., None], *arguments: Any) -> None:
        if self._is_lost:
            return
        try:
            log(*arguments)
        except mlflow.exceptions.MlflowException:
            self._is_lost = (
                True  # its client retried for minutes; do not repeat that for every trial
            )
            _log.exception("MLflow failed; the search goes on and logs no more to it.")
