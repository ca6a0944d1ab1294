"""The trials of one search under Ray, from the first to the last, here or on a class of hosts."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cluster.node import ray_env
from tune.driver import experiment, loggers, metrics, orders
from tune.driver.ending import Ending
from tune.driver.experiment import Dashboard
from tune.driver.guard import Guard
from tune.driver.hosts.places import LocalPlaces, Places
from tune.driver.metrics import SearchMetrics
from tune.driver.searcher import StudySearcher
from tune.prepare import Prepared
from tune.run_folder.folder import note_others, private_folder
from tune.run_folder.log import quiet_libraries
from tune.screen.screen import Screen
from tune.search.policy import Search


def drive(
    prepared: Prepared,
    search: Search,
    guard: Guard,
    conclude: Callable[[Ending], int],
    *,
    places: Places | None = None,
) -> Ending:
    """Run the search's trials to their end, or until the cluster ends them.

    `places` are those of a cluster's hosts; without them a private Ray is started here.
    Where a person, a signal or the loss of Ray ends them, `conclude` writes the result in a thread,
    and this process ends with the code that it returns.

    Raises:
        RayError: if Ray does not start as it must.
    """
    quiet_libraries()
    on_gpu = prepared.preflight.on_gpu
    here = LocalPlaces(prepared.preflight.gpus, on_gpu=on_gpu, note=prepared.screen.note)
    taken = here if places is None else places
    halved = orders.Halved(prepared.caps.cap, on_gpu=on_gpu)
    searcher = StudySearcher(
        search,
        lambda trial: orders.order(prepared, search, trial, taken, halved),
        prepared.screen,
        taken,
    )
    callbacks = loggers.callbacks(
        tensorboard=prepared.spec.tensorboard,
        mlflow=prepared.spec.mlflow,
        experiment=prepared.task.name,
        folder=prepared.folder.path,
    )
    if places is not None:  # a cluster exports them or not: its nodes know
        callbacks.append(SearchMetrics(search, prepared.preflight, thread_room=lambda: None))
    elif prepared.spec.dashboard:
        callbacks.append(SearchMetrics(search, prepared.preflight, thread_room=metrics.room_here))

    def conclude_now(ending: Ending) -> int:
        prepared.screen.stop()
        return conclude(ending)

    with prepared.screen.live(search):
        if places is None:
            with _others_noted(prepared):
                return _drive_here(prepared, searcher, here, callbacks, guard, conclude_now)
        return experiment.run_joined(
            searcher,
            places,
            folder=prepared.folder.path,
            class_timeout_s=prepared.spec.class_timeout_s,
            conclude=conclude_now,
            callbacks=callbacks,
        )


def _others_noted(prepared: Prepared) -> AbstractContextManager[None]:
    """Return what tells of another search; those of the other kinds of GPUs are known."""
    if prepared.preflight.share is not None:
        return nullcontext()
    return note_others(prepared.screen.note)


def _drive_here(
    prepared: Prepared,
    searcher: StudySearcher,
    places: LocalPlaces,
    callbacks: list[Any],
    guard: Guard,
    conclude: Callable[[Ending], int],
) -> Ending:
    settings = experiment.RaySettings(
        places=places,
        dashboard=prepared.spec.dashboard,
        private=private_folder(),
        folder=prepared.folder.path,
    )
    ending = experiment.run(
        searcher,
        settings,
        on_dashboard=lambda dashboard: _show(prepared.screen, dashboard),
        on_folder=guard.remember,
        conclude=conclude,
        callbacks=callbacks,
    )
    if ending.is_finished:  # else --resume uses them again
        shutil.rmtree(orders.programs(prepared), ignore_errors=True)
    return ending


def _show(screen: Screen, dashboard: Dashboard) -> None:
    screen.dashboard(dashboard.url, metrics_url=dashboard.metrics_url)
    screen.note(f"It asks for the token in {ray_env.token_path(os.environ)}.")
    screen.note(
        f"To record it: prometheus --config.file={dashboard.prometheus_config} "
        "--web.listen-address=127.0.0.1:9090"
    )
