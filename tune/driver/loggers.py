"""Loggers for TensorBoard and MLflow, as Ray Tune's own callbacks.

A missing package or server is an error before Ray starts.
"""

import importlib.util
import socket
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import UserError
from tune.run_folder.log import quiet_libraries
from tune.spec import SearchSpec

if TYPE_CHECKING:  # it imports Ray
    import ray.tune

_ANSWER_S = 5.0


def require(spec: SearchSpec) -> None:
    """Check before the first trial that `--tensorboard` and `--mlflow` can work.

    Raises:
        UserError: if a package is missing, or the tracking URI leads nowhere.
    """
    if spec.tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise UserError("--tensorboard needs tensorboardX. Run: pip install tensorboardX")
    if spec.mlflow is not None:
        if importlib.util.find_spec("mlflow") is None:
            raise UserError("--mlflow needs MLflow. Run: pip install -e '.[mlflow]'")
        _require_tracking(spec.mlflow)


def callbacks(
    *, tensorboard: bool, mlflow: str | None, experiment: str, folder: Path
) -> "list[ray.tune.Callback]":
    """Return the callbacks that were asked for: `mlflow` is a tracking URI."""
    chosen: list[ray.tune.Callback] = []
    if tensorboard:
        from ray.tune.logger import TBXLoggerCallback  # tensorboardX may not be installed

        chosen.append(TBXLoggerCallback())
    if mlflow is not None:
        from tune.driver.mlflow_logger import PatientMLflow  # MLflow may not be installed

        tags = {"search": folder.name}
        chosen.append(PatientMLflow(tracking_uri=mlflow, experiment_name=experiment, tags=tags))
    return chosen


def _require_tracking(uri: str) -> None:
    """Open the tracking store, after a quick look for its server: MLflow would try for minutes."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_ANSWER_S).close()
        except (OSError, ValueError) as error:
            raise UserError(
                f"--mlflow: no server answers at {uri} ({error}); start one with mlflow server."
            ) from error
    import mlflow.exceptions  # MLflow may not be installed, and takes a while to import
    import mlflow.tracking

    quiet_libraries()
    try:
        mlflow.tracking.MlflowClient(uri).search_experiments(max_results=1)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = str(error).split(" See ")[0]
        raise UserError(f"--mlflow cannot use {uri}: {reason}") from error
