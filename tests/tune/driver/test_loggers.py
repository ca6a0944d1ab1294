"""What loggers are given, and what is said when they cannot be had."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.errors import UserError
from factories import failed, measurement, outcome
from trainables.measurement import OutcomeKind
from trainables.ray_trainable import figures
from tune.driver import loggers
from tune.spec import SearchSpec


def test_a_measured_trial_is_logged_by_its_numbers_under_their_own_names() -> None:
    logged = figures(outcome())
    assert logged["steps_per_second"] == 50_000.0
    assert (logged["completed"], logged["peak_threads"]) == (1.0, 21.0)
    assert logged["health/entropy"] == 0.9
    assert all(type(value) is float for value in logged.values())


def test_what_was_not_measured_is_not_logged() -> None:
    assert "peak_device_bytes" not in figures(outcome(measurement=measurement()))
    logged = figures(failed(OutcomeKind.DEVICE_MEMORY, "too much.", peak_threads=None))
    assert logged["completed"] == 0.0
    assert logged["predicted_device_bytes"] == 150_000_000
    assert not {"steps_per_second", "peak_threads"} & logged.keys()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (SearchSpec(tensorboard=True), "--tensorboard needs tensorboardX. Run: pip install"),
        (SearchSpec(mlflow="sqlite:///m.db"), "--mlflow needs MLflow. Run: pip install -e"),
    ],
)
def test_a_missing_package_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, spec: SearchSpec, sentence: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=sentence):
        loggers.require(spec)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's, of SQLAlchemy
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:port", "--mlflow: no server answers at http://127.0.0.1:port ("),
        ("nonsense://here", "--mlflow cannot use nonsense://here: "),
        ("sqlite:////proc/nowhere/m.db", "--mlflow cannot use sqlite:////proc/nowhere/m.db: "),
    ],
)
def test_a_tracking_uri_that_leads_nowhere_is_one_sentence(uri: str, words: str) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(UserError, match=re.escape(words)):
        loggers.require(SearchSpec(mlflow=uri))


def test_a_server_that_does_not_answer_ends_the_command_before_anything_is_written(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mlflow")
    uri = "http://127.0.0.1:9"
    ended = subprocess.run(
        [sys.executable, "-m", "tune.jax_phase12", "--workload", "json:loads", "--mlflow", uri],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert f"no server answers at {uri}" in line
    assert list(tmp_path.iterdir()) == []


def test_a_search_outlives_its_mlflow_server(caplog: pytest.LogCaptureFixture) -> None:
    exceptions = pytest.importorskip("mlflow.exceptions")
    from tune.driver.mlflow_logger import PatientMLflow

    asked: list[str] = []

    def start_run(**arguments: Any) -> None:
        asked.append(arguments["run_name"])
        raise exceptions.MlflowException("the server is gone")

    logger = PatientMLflow(tracking_uri="http://127.0.0.1:9", experiment_name="any")
    logger.mlflow_util = SimpleNamespace(setup_mlflow=lambda **_: None, start_run=start_run)
    logger.setup()
    for trial in ("first", "second"):
        logger.log_trial_start(trial)
        logger.log_trial_result(1, trial, {"steps_per_second": 1.0})
        logger.log_trial_end(trial)
    logger.on_experiment_end([])
    assert asked == ["first"]
    assert "the search goes on and logs no more to it" in caplog.text


def test_a_search_does_not_wait_while_mlflow_tries_to_reach_its_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Trials begin and end meanwhile, else their workers seem to be silent."""
    pytest.importorskip("mlflow")
    from tune.driver import mlflow_logger

    is_back = threading.Event()
    opened: list[str] = []

    def start_run(**arguments: Any) -> Any:
        is_back.wait(timeout=5.0)
        opened.append(arguments["run_name"])
        return SimpleNamespace(info=SimpleNamespace(run_id=arguments["run_name"]))

    logger = mlflow_logger.PatientMLflow(tracking_uri="http://127.0.0.1:9", experiment_name="any")
    logger.mlflow_util = SimpleNamespace(
        setup_mlflow=lambda **_: None,
        start_run=start_run,
        log_params=lambda **_: None,
        end_run=lambda **_: None,
    )
    logger.setup()
    monkeypatch.setattr(mlflow_logger, "_LAST_S", 0.01)
    for name in ("first", "second"):
        trial = NamedTrial(name)
        logger.log_trial_start(trial)
        logger.log_trial_end(trial)
    logger.on_experiment_end([])
    assert opened == []
    assert "MLflow does not take what is left" in caplog.text
    is_back.set()
    monkeypatch.setattr(mlflow_logger, "_LAST_S", 5.0)
    logger.on_experiment_end([])
    assert opened == ["first", "second"]


class NamedTrial:
    """A trial of Tune, as far as MLflow's callback looks at it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.config: dict[str, Any] = {}

    def __str__(self) -> str:
        return self._name
