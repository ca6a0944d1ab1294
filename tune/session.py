"""One search, from options to profile: python -m tune.jax_phase12 and its siblings end up here."""

import dataclasses
import datetime
import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.node import hardware, ray_env
from cluster.node.thread_env import ThreadEnv
from search_spaces.space import SearchSpace, violation
from trainables.measurement import Sampling, TrialRequest
from tune import cli, export, records, side_by_side
from tune import preflight as preflights
from tune.console import Screen
from tune.finals import FinalsPlan
from tune.preflight import Preflight
from tune.result import EXPLORING, SearchResult, Stage, Trial
from tune.run_folder import RunFolder, hold, locate, require_writable
from tune.search import Search
from tune.spec import SearchSpec, SpecError, Task, parse_integers
from tune.stopping import Stopping

if TYPE_CHECKING:  # both import Ray
    from tune.experiment import Ending
    from tune.joined import HardwareClass

SpaceFor = Callable[[str, int], tuple[SearchSpace, dict[str, int]]]
"""`space_for(platform, num_cpus)`: a machine's default space and its baseline."""

_EXPLORING = Sampling(max_measure_s=8.0)  # finals measure again, and longer
_SOAK_S = 600.0  # a soak of huge updates ends here, and says how many it did
_LEAST_SOAK_S = 20.0
_SOAK_START_S = 20.0  # to start, compile and warm up


def run(spec: SearchSpec, task: Task, space_for: SpaceFor) -> int:
    """Search, prove and export; return 0 with a profile, 1 without, 130 if interrupted.

    Raises:
        SpecError, SpaceError, NotFitError, StudyError, RayError: what the person can mend.
    """
    started_at = time.monotonic()
    address = side_by_side.cluster_of(spec, os.environ)
    screen = Screen(as_json=spec.json)
    search = functools.partial(_search, spec, task, space_for, started_at=started_at, screen=screen)
    if address is None:
        options = _preflight_options(spec, task)
        return search(preflight=preflights.check(**options, dashboard=spec.dashboard))
    from tune import joined  # imports Ray, which a small machine may not survive

    with joined.connect(address):
        names = list(joined.classes())
        if spec.machine_class is not None or len(names) < 2:
            chosen = joined.require(
                spec.machine_class, timeout_s=spec.class_timeout_s, note=screen.note
            )
            screen.note(chosen.describe())
            preflight = joined.preflight(
                chosen, files=joined.files_of(task), **_preflight_options(spec, task)
            )
            return search(preflight=preflight, hardware_class=chosen)
    screen.note(f"{len(names)} searches at once, one per class: {', '.join(names)}")
    return side_by_side.run(names, spec, task_name=task.name)


def _search(
    spec: SearchSpec,
    task: Task,
    space_for: SpaceFor,
    *,
    started_at: float,
    screen: Screen,
    preflight: Preflight,
    hardware_class: "HardwareClass | None" = None,
) -> int:
    """Run one search where `preflight` was made: here, or on the hosts of a class."""
    screen.preflight(preflight)
    preflights.require_fit(preflight)
    assert preflight.thread_env is not None
    space, baseline = space_for(preflight.platform, preflight.thread_env.cap)
    space = space.override(spec.space)
    baseline = _baseline(space, baseline, parse_integers("--baseline", spec.baseline))
    now = datetime.datetime.now(datetime.UTC)
    resume = spec.resume
    if hardware_class is not None and spec.out is not None:
        resume = resume and RunFolder(spec.out).journal.exists()  # its class may have come later
    folder = locate(task.name, out=spec.out, resume=resume, now=now)
    require_writable(spec.profiles, option="--profiles")
    session = _Session(
        spec=spec,
        task=task,
        preflight=preflight,
        caps=preflight.thread_env,
        space=space,
        baseline=baseline,
        folder=folder,
        resume=resume,
        screen=screen,
        hardware_class=hardware_class,
    )
    with hold(folder), records.run_log(folder.run_log):
        search = _open_search(session, started_at)
        screen.started(task=task, spec=spec, space=space, baseline=baseline, folder=folder.path)
        ending = _drive(session, search)
        code = _conclude(session, search.result(partial=not ending.is_finished))
        if hardware_class is not None and ending.is_class_lost:
            raise SpecError(
                f"no host of class {hardware_class.name} was left for "
                f"{spec.class_timeout_s:.0f} s, so the search ended early: join one again (python "
                "-m cluster.join worker) and go on with --resume."
            )
        return code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What is settled before the first trial."""

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


def _open_search(session: _Session, started_at: float) -> Search:
    from tune.study import Limits, Study  # Optuna takes a while to import

    records.quiet_libraries()
    spec, preflight = session.spec, session.preflight
    room = preflight.findings.thread_limits.room
    open_study = Study.resume if session.resume else Study.create
    study = open_study(
        session.folder.journal,
        space=session.space,
        limits=Limits(
            num_threads=None if room is None else room - preflight.ray_threads,
            device_bytes=preflight.device_budget_bytes,
            host_bytes=preflight.host_budget_bytes,
        ),
        identity=_identity(session),
    )
    return Search(
        study,
        space=session.space,
        baseline=session.baseline,
        objective=spec.objective,
        stop=Stopping(
            max_runs=spec.max_runs,
            max_time_s=spec.max_time_s,
            patience=spec.patience,
            min_gain=spec.min_gain,
            num_parallel=session.num_parallel_trials,
        ),
        plan=FinalsPlan(
            num_finalists=spec.finalists,
            num_rounds=spec.final_rounds,
            soak_updates=spec.soak_updates,
        ),
        seed=spec.seed,
        clock=lambda: time.monotonic() - started_at,
        device_budget_bytes=preflight.device_budget_bytes,
    )


def _identity(session: _Session) -> dict[str, Any]:
    """What a search must agree on with the one it resumes: all that a measurement depends on."""
    return {
        "workload": session.task.workload,
        "options": session.task.options,
        "data": session.task.data,
        "space": session.space.describe(),
        "baseline": session.baseline,
        "objective": session.spec.objective.value,
        "machine": hardware.machine_class(session.preflight.machine),
        "platform": session.preflight.platform,
    }


def _drive(session: _Session, search: Search) -> "Ending":
    """Run the search under Ray; return how that ended."""
    from trainables.ray_trainable import TrialOrder
    from tune import experiment  # imports Ray, which a small machine may not survive
    from tune.searcher import StudySearcher

    spec, screen = session.spec, session.screen

    def order_for(trial: Trial) -> TrialOrder:
        return TrialOrder(
            name=_trial_name(trial),
            request=_request(session, search, trial),
            framework=session.task.framework,
            thread_cap=_thread_cap(session, search.trials),
            timeout_s=spec.trial_timeout_s + (_SOAK_S if trial.stage is Stage.SOAK else 0.0),
            host_budget_bytes=session.preflight.host_budget_bytes,
            log=str(session.folder.trial_log(trial.number, trial.stage).resolve()),
            is_remote=session.hardware_class is not None,
        )

    records.quiet_libraries()
    if session.hardware_class is not None:
        with screen.live(search):
            return experiment.run_joined(
                StudySearcher(search, order_for, screen),
                session.hardware_class,
                folder=session.folder.path,
                class_timeout_s=spec.class_timeout_s,
            )

    def show_dashboard(url: str) -> None:
        screen.dashboard(url)
        screen.note(f"It asks for the token in {ray_env.token_path(os.environ)}.")

    settings = experiment.RaySettings(
        num_gpus=1 if session.preflight.platform == "cuda" else 0,
        trial_variables=session.caps.variables,
        dashboard=spec.dashboard,
        private=_private_folder(),
        folder=session.folder.path,
    )
    with screen.live(search):
        searcher = StudySearcher(search, order_for, screen)
        return experiment.run(searcher, settings, on_dashboard=show_dashboard)


def _preflight_options(spec: SearchSpec, task: Task) -> dict[str, Any]:
    return {
        "device": spec.device,
        "thread_cap": spec.thread_cap,
        "memory_budget_bytes": _parse_budget(spec.memory_budget),
        "framework": task.framework,
    }


def _private_folder() -> Path:
    try:
        return ray_env.prepare(os.environ)
    except OSError as error:
        raise SpecError(f"Ray has no folder to work in: {error}") from error


def _request(session: _Session, search: Search, trial: Trial) -> TrialRequest:
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


def _thread_cap(session: _Session, trials: tuple[Trial, ...]) -> int:
    """The cap of the next trial: a cap that had to be halved once is not tried again."""
    used = [t.outcome.thread_cap for t in trials if t.outcome and t.outcome.thread_cap]
    return min([session.caps.cap, *used])


def _trial_name(trial: Trial) -> str:
    """A trial's name in Ray's dashboard and folders: its number, stage and configuration."""
    values = "_".join(f"{name}={value}" for name, value in trial.config.items())
    return f"{trial.number:03d}_{trial.stage}_{values}"


def _baseline(
    space: SearchSpace, default: Mapping[str, int], given: Mapping[str, int]
) -> dict[str, int]:
    """The configuration to compare with, over the axes of the space.

    Raises:
        SpecError: if --baseline names no axis of the space, or does not divide.
    """
    unknown = sorted(given.keys() - set(space.names))
    if unknown:
        raise SpecError(f"--baseline names {unknown}; the axes are {list(space.names)}.")
    config = {
        axis.name: given.get(axis.name, default.get(axis.name, axis.values[0]))
        for axis in space.axes
    }
    for axis in space.axes:
        if len(axis.values) == 1 and axis.name not in given:
            config[axis.name] = axis.values[0]  # an axis that is fixed is fixed for all
    problem = violation(config)
    if problem is not None:
        raise SpecError(f"the baseline cannot run: {problem} Set it with --baseline.")
    return config


def _parse_budget(text: str | None) -> int | None:
    try:
        return None if text is None else preflights.parse_bytes(text)
    except ValueError as error:
        raise SpecError(f"--memory-budget: {error}") from error


def _conclude(session: _Session, result: SearchResult) -> int:
    """Write profiles and tables, say what was found, choose the exit code."""
    profiles = export.write_all(
        result,
        session.spec.profiles,
        task=session.task,
        preflight=session.preflight,
        objective=session.spec.objective.value,
        soak_updates=session.spec.soak_updates,
        study=session.folder.journal,
        now=datetime.datetime.now(datetime.UTC),
    )
    files = records.write_trials(session.folder.path, result.trials)
    session.screen.finished(result, profiles=profiles, files=(*files, session.folder.run_log))
    if result.partial:
        return cli.INTERRUPTED
    return 0 if profiles else cli.NOTHING_FEASIBLE
