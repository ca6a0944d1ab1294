"""Whether the loggers that a person asks for can be had: said before Ray starts, in one sentence.

Both are Ray Tune's own callbacks (`tune.experiment` makes them): TensorBoard's files lie beside
each trial, MLflow gets one run per trial.
"""

import importlib.util
import socket
import urllib.parse

from tune.run_folder import trials as records
from tune.spec import SearchSpec, SpecError

_ANSWER_S = 5.0


def require(spec: SearchSpec) -> None:
    """See now, not in the first trial, whether `--tensorboard` and `--mlflow` can work.

    Raises:
        SpecError: if a package is missing, or the tracking URI leads nowhere.
    """
    if spec.tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise SpecError("--tensorboard needs tensorboardX. Run: pip install tensorboardX")
    if spec.mlflow is not None:
        if importlib.util.find_spec("mlflow") is None:
            raise SpecError("--mlflow needs MLflow. Run: pip install -e '.[mlflow]'")
        _require_tracking(spec.mlflow)


def _require_tracking(uri: str) -> None:
    """Open the tracking store; first see that a server listens: MLflow would try for minutes."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_ANSWER_S).close()
        except (OSError, ValueError) as error:
            raise SpecError(
                f"--mlflow: no server answers at {uri} ({error}); start one with mlflow server."
            ) from error
    import mlflow.exceptions
    import mlflow.tracking

    records.quiet_libraries()
    try:
        mlflow.tracking.MlflowClient(uri).search_experiments(max_results=1)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = str(error).split(" See ")[0]
        raise SpecError(f"--mlflow cannot use {uri}: {reason}") from error
