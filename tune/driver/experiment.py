"""The only driver of Ray Tune: a searcher's trials, in a private Ray or on a cluster's hosts."""

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.tune
from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager
from ray.train._internal import storage
from ray.tune.execution import class_cache

from cluster.errors import UserError
from cluster.node import listeners, ray_env
from trainables.ray_trainable import RayTrial
from tune.driver import start_conditions
from tune.driver.ending import Ending
from tune.driver.hosts import connection
from tune.driver.hosts.places import ClassWatch, LocalPlaces, Places
from tune.driver.interruption import Interruption, uninterrupted
from tune.driver.searcher import StudySearcher
from tune.run_folder.folder import TUNE_FOLDER


class RayError(UserError):
    """Ray did not start as it must."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """One search's share of this machine.

    `private` is a folder of this user alone, for Ray's sockets and logs; `folder` is the search's.
    """

    places: LocalPlaces
    dashboard: bool
    private: Path
    folder: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The addresses of Ray's dashboard and metrics, and Ray's own configuration of Prometheus."""

    url: str
    metrics_url: str
    prometheus_config: Path


def run(
    searcher: StudySearcher,
    settings: RaySettings,
    *,
    on_dashboard: Callable[[Dashboard], None],
    on_folder: Callable[[Path], None],
    conclude: Callable[[Ending], int],
    callbacks: Sequence[ray.tune.Callback],
) -> Ending:
    """Run trials in a private Ray on this machine until the searcher is finished.

    `on_folder` is called with each folder of Ray's before it starts, `on_dashboard` with the
    dashboard, if there is one. Where the search is interrupted or Ray lost, `conclude` writes what
    there is, and this process ends with the code that it returns.

    Raises:
        RayError: if Ray does not start, or opens a socket to the outside.
    """
    _spare_runtime_env()
    _spare_first_gpu()
    with _private_ray(settings, on_folder) as (folders, dashboard):
        if dashboard is not None:
            on_dashboard(dashboard)
        return _run(
            searcher,
            conclude,
            folder=settings.folder,
            ray_folders=folders,
            callbacks=callbacks,
        )


def run_joined(
    searcher: StudySearcher,
    places: Places,
    *,
    folder: Path,
    class_timeout_s: float,
    conclude: Callable[[Ending], int],
    callbacks: Sequence[ray.tune.Callback],
) -> Ending:
    """Run trials on the hosts of a class, in the cluster that this process is connected to.

    See `run` for `conclude`.
    """
    watch = ClassWatch(places, class_timeout_s, searcher.waiting)

    def conclude_and_leave(ending: Ending) -> int:
        try:
            return conclude(ending)
        finally:
            connection.leave()

    ending = _run(
        searcher,
        conclude_and_leave,
        folder=folder,
        ray_folders=(),
        callbacks=callbacks,
        stopper=watch,
    )
    return Ending.CLASS_LOST if watch.is_lost else ending


def _run(
    searcher: StudySearcher,
    conclude: Callable[[Ending], int],
    *,
    folder: Path,
    ray_folders: Sequence[Path],
    callbacks: Sequence[ray.tune.Callback],
    stopper: ray.tune.Stopper | None = None,
) -> Ending:
    by_client = connection.by_client()
    if by_client:
        # Tune asks this host's node for a folder of its session, and here is none.
        storage._get_ray_train_session_dir = lambda: str(folder.resolve() / TUNE_FOLDER / "session")
    # Tune keeps whole orders there, with whatever a person gave as an option.
    (folder / TUNE_FOLDER).mkdir(mode=0o700, exist_ok=True)
    interruption = Interruption(
        conclude, busy=searcher.busy, is_silent=searcher.is_silent, ray_folders=ray_folders
    )
    try:
        with interruption.watched():
            ray.tune.run(
                RayTrial,
                search_alg=searcher,
                num_samples=-1,  # until the searcher says FINISHED
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                name=TUNE_FOLDER,
                storage_path=str(folder.resolve()),
                callbacks=list(callbacks),
                stop=stopper,
                # A configuration that cannot run never raises, and the search itself runs a trial
                # again whose worker was lost.
                max_failures=0,
                raise_on_failed_trial=False,
                # A trial's only state is its outcome: there is nothing to restore.
                checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
                # A Tuner would run all of it on the head where Ray's client is used: the search,
                # its files and its screen stay here.
                _remote=False,
            )
    except Exception:  # Ray's client raises bare ones
        if by_client and not connection.by_client():
            return Ending.LINK_LOST
        raise
    if searcher.is_unwritable:
        return Ending.UNWRITABLE
    return Ending.FINISHED if searcher.finished else Ending.INTERRUPTED


def _spare_runtime_env() -> None:
    """Leave out the variables that Tune hands to its actors by a runtime_env.

    In a private Ray they are inherited. Any runtime_env starts workers by `bash -c`, with the path
    of Python unquoted: where it has a space they never start (ray #5288), and no one says so.
    """
    class_cache.DEFAULT_ENV_VARS = {}
    class_cache.ENV_VARS_TO_PROPAGATE = set()


def _spare_first_gpu() -> None:
    """Leave out the name of a node's kind of GPU, of which nothing is asked.

    Ray asks the first GPU for it, and does not start where that one is lost.
    """
    NvidiaGPUAcceleratorManager.get_current_node_accelerator_type = staticmethod(lambda: None)


@contextlib.contextmanager
def _private_ray(
    settings: RaySettings, on_folder: Callable[[Path], None]
) -> Iterator[tuple[list[Path], Dashboard | None]]:
    """Start Ray on loopback, check its sockets, yield its folders and dashboard, shut it down."""
    temp_dir = Path(tempfile.mkdtemp(dir=settings.private))
    folders = [temp_dir, ray_env.temporary_dir(os.environ)]
    try:
        for folder in folders:
            on_folder(folder)
            folder.mkdir(exist_ok=True)
        context = _start_ray(settings, temp_dir)
        exposed = listeners.exposed_listeners()
        if exposed:
            raise RayError(
                f"Ray opened a socket to the outside and was stopped: {exposed[0]}. "
                "Unset RAY_* variables of your own and start again."
            )
        url = context.dashboard_url
        yield folders, _dashboard(url, temp_dir) if settings.dashboard else None
    finally:
        with uninterrupted():
            ray.shutdown()
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


def _start_ray(settings: RaySettings, temp_dir: Path) -> Any:
    missing = start_conditions.missing_condition()
    if missing is not None:
        raise RayError(f"Ray cannot start here: {missing}")
    try:
        return ray.init(
            **ray_env.init_arguments(
                num_cpus=settings.places.num_trials,
                num_gpus=settings.places.num_gpus,
                temp_dir=temp_dir,
                dashboard=settings.dashboard,
            ),
        )
    except Exception as error:  # Ray raises no narrower type for a node that is late
        if "timed out during startup" not in str(error):
            raise
        late = start_conditions.late_reason(temp_dir / "session_latest" / "logs")
        raise RayError(f"Ray did not start within its 30 s: {late}") from error


def _dashboard(address: str, temp_dir: Path) -> Dashboard:
    [node] = ray.nodes()
    return Dashboard(
        url=f"http://{address}",
        metrics_url=f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics",
        prometheus_config=temp_dir / "session_latest/metrics/prometheus/prometheus.yml",
    )


def _trial_name(trial: Any) -> str:
    """Return a trial's name in Ray's dashboard and folders: see `TrialOrder.name`."""
    return str(trial.config["order"])
