"""The trials of one search under Ray: what each is ordered to do, and where it runs."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.node import ray_env
from cluster.node.thread_env import ThreadEnv
from search_spaces.space import SearchSpace
from trainables import compile_cache
from trainables.measurement import Sampling, TrialRequest
from tune.preflight.judge import Preflight
from tune.run_folder import trials as records
from tune.run_folder.folder import RunFolder
from tune.screen.screen import Screen
from tune.search.policy import Search
from tune.search.result import EXPLORING, Stage, Trial
from tune.spec import SearchSpec, SpecError, Task

if TYPE_CHECKING:  # what imports Ray needs room for threads: only once the preflight has passed
    from trainables.ray_trainable import TrialOrder
    from tune.driver.experiment import Dashboard, Ending
    from tune.driver.joined import HardwareClass
    from tune.driver.searcher import StudySearcher

_EXPLORING = Sampling(max_measure_s=8.0)  # finals measure again, and longer
_SOAK_S = 600.0  # a soak of huge updates ends here, and says how many it did
_LEAST_SOAK_S = 20.0
_SOAK_START_S = 20.0  # to start, compile and warm up


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is settled before the first trial. `hardware_class` is of a joined cluster, if any."""

    spec: SearchSpec
    task: Task
    preflight: Preflight
    caps: ThreadEnv
    space: SearchSpace
    baseline: dict[str, int]
    folder: RunFolder
    resume: bool
    screen: Screen
    hardware_class: "HardwareClass | None"

    @property
    def num_parallel_trials(self) -> int:
        """Trials that run side by side."""
        return 1 if self.hardware_class is None else self.hardware_class.num_trials

    @property
    def keeps_programs(self) -> bool:
        """Whether trials read what earlier ones compiled: see `trainables.compile_cache`."""
        is_here = self.hardware_class is None
        return is_here and self.task.framework == "jax" and self.preflight.platform == "cpu"


def drive(session: Session, search: Search) -> "Ending":
    """Run the search's trials to their end, or until a person or the cluster ends them.

    Raises:
        RayError: if Ray does not start as it must.
    """
    from tune.driver import experiment
    from tune.driver.searcher import StudySearcher

    records.quiet_libraries()
    searcher = StudySearcher(search, lambda trial: _order(session, search, trial), session.screen)
    loggers = experiment.loggers(
        tensorboard=session.spec.tensorboard,
        mlflow=session.spec.mlflow,
        experiment=session.task.name,
        folder=session.folder.path,
    )
    with session.screen.live(search):
        if session.hardware_class is None:
            return _drive_here(session, search, searcher, loggers)
        return experiment.run_joined(
            searcher,
            session.hardware_class,
            folder=session.folder.path,
            class_timeout_s=session.spec.class_timeout_s,
            callbacks=loggers,
        )


def _drive_here(
    session: Session, search: Search, searcher: "StudySearcher", loggers: list[Any]
) -> "Ending":
    from tune.driver import experiment
    from tune.driver.metrics import SearchMetrics

    spec = session.spec
    settings = experiment.RaySettings(
        num_gpus=1 if session.preflight.platform == "cuda" else 0,
        trial_variables=session.caps.variables,
        dashboard=spec.dashboard,
        private=_private_folder(),
        folder=session.folder.path,
    )
    metrics = [SearchMetrics(search, session.preflight)] if spec.dashboard else []
    ending = experiment.run(
        searcher,
        settings,
        on_dashboard=lambda dashboard: _show(session.screen, dashboard),
        callbacks=[*metrics, *loggers],
    )
    if ending.is_finished:  # --resume of an interrupted search goes on with them
        shutil.rmtree(_programs(session), ignore_errors=True)
    return ending


def _show(screen: Screen, dashboard: "Dashboard") -> None:
    screen.dashboard(dashboard.url, metrics_url=dashboard.metrics_url)
    screen.note(f"It asks for the token in {ray_env.token_path(os.environ)}.")
    screen.note(
        f"To record it: prometheus --config.file={dashboard.prometheus_config} "
        "--web.listen-address=127.0.0.1:9090"
    )


def _private_folder() -> Path:
    try:
        return ray_env.prepare(os.environ)
    except OSError as error:
        raise SpecError(f"Ray has no folder to work in: {error}") from error


def _programs(session: Session) -> Path:
    return compile_cache.folder_for(session.folder.path, _private_folder())


def _order(session: Session, search: Search, trial: Trial) -> "TrialOrder":
    from trainables.ray_trainable import TrialOrder

    soak_s = _SOAK_S if trial.stage is Stage.SOAK else 0.0
    return TrialOrder(
        name=_trial_name(trial),
        request=_request(session, search, trial),
        framework=session.task.framework,
        thread_cap=_thread_cap(session, search.trials),
        timeout_s=session.spec.trial_timeout_s + soak_s,
        host_budget_bytes=session.preflight.host_budget_bytes,
        log=str(session.folder.trial_log(trial.number, trial.stage).resolve()),
        compile_cache=str(_programs(session)) if session.keeps_programs else None,
        is_remote=session.hardware_class is not None,
    )


def _request(session: Session, search: Search, trial: Trial) -> TrialRequest:
    is_soak = trial.stage is Stage.SOAK
    sampling = _EXPLORING if trial.stage in EXPLORING else Sampling()
    if is_soak:
        sampling = Sampling(max_measure_s=_soak_s(search.remaining_s))
    return TrialRequest(
        workload=session.task.workload,
        config=trial.config,
        options=session.task.options,
        platform=session.preflight.platform,
        cpus=(),
        device_budget_bytes=session.preflight.device_budget_bytes,
        sampling=sampling,
        slow_below=search.slow_below(trial),
        num_updates=session.spec.soak_updates if is_soak else None,
    )


def _soak_s(remaining_s: float | None) -> float:
    """Seconds that a soak may measure: what --max-time leaves, never too few to mean anything."""
    if remaining_s is None:
        return _SOAK_S
    return min(_SOAK_S, max(_LEAST_SOAK_S, remaining_s - _SOAK_START_S))


def _thread_cap(session: Session, trials: tuple[Trial, ...]) -> int:
    """The cap of the next trial: a cap that had to be halved once is not tried again."""
    used = [t.outcome.thread_cap for t in trials if t.outcome and t.outcome.thread_cap]
    return min([session.caps.cap, *used])


def _trial_name(trial: Trial) -> str:
    """A trial's name in Ray's dashboard and folders: its number, stage and configuration."""
    values = "_".join(f"{name}={value}" for name, value in trial.config.items())
    return f"{trial.number:03d}_{trial.stage}_{values}"
