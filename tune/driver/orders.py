"""The order that a trial's worker gets: what to run, with which caps, and for how long."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.node import ray_env
from search_spaces.config import Config, config_key, num_shares, value_text
from trainables import compile_cache
from trainables.curve import TrainingRequest
from trainables.measurement import TrialRequest
from trainables.ray_trainable import Place, TrialOrder
from tune.driver.hosts.places import Places
from tune.prepare import Prepared
from tune.run_folder.folder import private_folder
from tune.search.ended import Ended
from tune.search.policy import Search
from tune.search.reserve import LONGEST_SOAK_S
from tune.search.trial import EXPLORING, Stage, Trial

_EVALUATED = 3.0  # times a training's own seconds: held-out episodes may take as long
_LONGEST_NAME = 120


def programs(prepared: Prepared) -> Path:
    """Return the folder where trials keep the programs that they compiled."""
    return compile_cache.folder_for(prepared.folder.path, private_folder())


class Halved:
    """The trials whose thread cap had to be halved, each read once. `full` as for `thread_cap`."""

    def __init__(self, full: int, *, on_gpu: bool) -> None:
        self._full = full
        self._on_gpu = on_gpu
        self._ended = Ended()
        self._trials: list[Trial] = []

    def among(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Return those among the trials of a growing search, by number."""
        found = [one for one in self._ended.since(trials) if self._is_halved(one)]
        self._trials = sorted((*self._trials, *found), key=lambda one: one.number)
        return self._trials

    def _is_halved(self, trial: Trial) -> bool:
        most = self._full * num_shares(trial.config, on_gpu=self._on_gpu)
        return trial.outcome is not None and trial.outcome.thread_cap < most


def order(
    prepared: Prepared, search: Search, trial: Trial, places: Places, halved: Halved
) -> TrialOrder:
    """Return the order for the worker of `trial`, in the next of the places."""
    training = search.training_of(trial)
    more_s = LONGEST_SOAK_S if trial.stage is Stage.SOAK else 0.0
    if training is not None:
        more_s = _EVALUATED * training.max_s
    # Of levers one runs at a time, by turns with the winner.
    one_by_one = prepared.spec.finals != "together" or trial.stage is Stage.LEVER
    on_gpu = prepared.preflight.on_gpu
    shares = num_shares(trial.config, on_gpu=on_gpu)
    known = halved.among(search.trials)
    cap = thread_cap(prepared.caps.cap, known, trial.config, on_gpu=on_gpu)
    place = places.take(alone=trial.stage not in EXPLORING and one_by_one, num_gpus=shares)
    request = _request(prepared, search, trial, training, place)
    if prepared.hardware_class is None:
        request = dataclasses.replace(request, machine_best=search.machine_best(cap))
    return TrialOrder(
        name=_trial_name(trial),
        request=request,
        framework=prepared.task.framework,
        place=place,
        travelled=places.travelled,
        thread_cap=cap,
        timeout_s=min(prepared.spec.trial_timeout_s + more_s, search.time_for(trial)),
        host_budget_bytes=shares * prepared.preflight.host_budget_bytes,
        log=str(prepared.folder.trial_log(trial.number, trial.stage).resolve()),
        compile_cache=str(programs(prepared)) if prepared.keeps_programs else None,
        is_remote=prepared.hardware_class is not None,
        temporary=str(ray_env.temporary_dir(os.environ) / str(trial.number)),
        variables={} if prepared.hardware_class else prepared.caps.variables,
    )


def _request(
    prepared: Prepared,
    search: Search,
    trial: Trial,
    training: TrainingRequest | None,
    place: Place,
) -> TrialRequest:
    return TrialRequest(
        workload=prepared.task.workload,
        config=trial.config,
        options=_options(prepared, training),
        platform=prepared.preflight.platform,
        cpus=(),
        device_budget_bytes=prepared.preflight.device_budget_bytes,
        sampling=search.sampling_for(trial),
        slow_below=search.slow_below(trial, place.gpus),
        num_updates=prepared.spec.effort_plan.soak_updates if trial.stage is Stage.SOAK else None,
        training=training,
        needs_return=prepared.spec.learning is not None,
    )


def _options(prepared: Prepared, training: TrainingRequest | None) -> dict[str, Any]:
    """Return the workload's options, with the seed of a training whose learning is judged.

    A command's own folders are in the search's.
    """
    task = prepared.task
    own = task.options if training is None else task.training_options(training.seed)
    options = own | task.run_options
    if not task.is_command or prepared.hardware_class is not None:
        return options
    return options | {"trials": str((prepared.folder.path / "trials" / "outputs").resolve())}


def thread_cap(full: int, trials: Sequence[Trial], config: Config, *, on_gpu: bool) -> int:
    """Return the thread cap of the next trial: one that had to be halved is not tried again.

    It may be the configuration that starts too many threads. Two that had to be halved show that
    the machine has less room for any. `full` is the cap for each of a trial's GPUs.
    """
    ended = [(trial.config, trial.outcome.thread_cap) for trial in trials if trial.outcome]
    halved = {
        config_key(its): cap / num_shares(its, on_gpu=on_gpu)
        for its, cap in ended
        if 0 < cap < full * num_shares(its, on_gpu=on_gpu)
    }
    one = halved.get(config_key(config), full) if len(halved) <= 1 else min(halved.values())
    return max(1, int(num_shares(config, on_gpu=on_gpu) * one))


def _trial_name(trial: Trial) -> str:
    """Return a trial's name in Ray's dashboard and folders: its number, stage and configuration."""
    values = "_".join(f"{name}={value_text(value)}" for name, value in trial.config.items())
    words = re.sub(r"[^\w.=+-]+", "-", values)  # flags and paths are no names of folders
    return f"{trial.number:03d}_{trial.stage}_{words[:_LONGEST_NAME]}"
