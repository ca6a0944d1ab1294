"""One search, from options to profile: python -m tune.jax_phase12 and its siblings end up here."""

import dataclasses
import datetime
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.node import hardware, ray_env
from cluster.node.thread_env import ThreadEnv
from search_spaces.space import SearchSpace, violation
from trainables import compile_cache
from trainables.measurement import Sampling, TrialRequest
from tune import cli, export, foresight, loggers, preflight_view, records, run_record
from tune import preflight as preflights
from tune.compiling import Compiler
from tune.conclusion import Context
from tune.console import Screen
from tune.finals import FinalsPlan
from tune.foresight import Foresight
from tune.preflight import Preflight
from tune.result import EXPLORING, SearchResult, Stage, Trial
from tune.run_folder import RunFolder, hold, locate, require_writable
from tune.run_record import Ending, RunRecord
from tune.search import Search
from tune.spec import SearchSpec, SpecError, Task, parse_integers
from tune.stopping import Stopping

if TYPE_CHECKING:
    from tune.study import Study

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
    screen = Screen(as_json=spec.json)
    preflight = preflights.check(
        device=spec.device,
        thread_cap=spec.thread_cap,
        memory_budget_bytes=_parse_budget(spec.memory_budget),
        framework=task.framework,
        num_subprocesses=task.num_subprocesses,
        dashboard=spec.dashboard,
    )
    screen.preflight(preflight)
    preflights.require_fit(preflight)
    loggers.require(spec)
    assert preflight.thread_env is not None
    space, baseline = space_for(preflight.platform, preflight.thread_env.cap)
    space = space.override(spec.space)
    baseline = _baseline(space, baseline, parse_integers("--baseline", spec.baseline))
    now = datetime.datetime.now(datetime.UTC)
    folder = locate(task.name, out=spec.out, resume=spec.resume, now=now)
    require_writable(spec.profiles, option="--profiles")
    session = _Session(
        spec=spec,
        task=task,
        preflight=preflight,
        caps=preflight.thread_env,
        space=space,
        baseline=baseline,
        folder=folder,
        screen=screen,
    )
    with hold(folder), records.run_log(folder.run_log):
        study = _open_study(session)
        run_record.write(folder, _record(session, study.trials, now))
        screen.started(task=task, spec=spec, space=space, baseline=baseline, folder=folder.path)
        ahead = _look_ahead(session)
        screen.memory(ahead)
        search = _open_search(session, study, ahead, started_at)
        completed = _drive(session, search)
        return _conclude(session, search.result(partial=not completed), ahead)


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
    screen: Screen


def _look_ahead(session: _Session) -> Foresight:
    """What fits, by the compiler; it keeps no program, so that trials measure what compiling is."""
    if session.task.framework != "jax":
        return foresight.NOTHING
    compiler = Compiler(
        task=session.task,
        caps=session.caps,
        environment=ray_env.for_child(os.environ) | session.caps.variables,
        log=session.folder.path / "trials" / "compile-ahead.log",
        timeout_s=session.spec.trial_timeout_s,
    )
    return foresight.look_ahead(
        compiler,
        session.space,
        session.preflight.device_budget_bytes,
        on_gpu=session.preflight.platform == "cuda",
        max_time_s=session.spec.max_time_s,
    )


def _open_study(session: _Session) -> "Study":
    from tune.study import Limits, Study  # Optuna takes a while to import

    records.quiet_libraries()
    preflight = session.preflight
    room = preflight.findings.thread_limits.room
    open_study = Study.resume if session.spec.resume else Study.create
    return open_study(
        session.folder.journal,
        space=session.space,
        limits=Limits(
            num_threads=None if room is None else room - preflight.ray_threads,
            device_bytes=preflight.device_budget_bytes,
            host_bytes=preflight.host_budget_bytes,
        ),
        identity=_identity(session),
    )


def _open_search(session: _Session, study: "Study", ahead: Foresight, started_at: float) -> Search:
    spec = session.spec
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
        ),
        plan=FinalsPlan(
            num_finalists=spec.finalists,
            num_rounds=spec.final_rounds,
            soak_updates=spec.soak_updates,
        ),
        seed=spec.seed,
        clock=time.monotonic,
        elapsed_s=time.monotonic() - started_at,
        device_budget_bytes=session.preflight.device_budget_bytes,
        compiled=ahead.compiled,
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


def _drive(session: _Session, search: Search) -> bool:
    """Run the search under Ray; return whether it came to its end."""
    from trainables.ray_trainable import TrialOrder
    from tune import experiment  # imports Ray, which a small machine may not survive
    from tune.metrics import SearchMetrics
    from tune.searcher import StudySearcher

    spec, screen = session.spec, session.screen
    private = _private_folder()
    programs = compile_cache.folder_for(session.folder.path, private)

    def order_for(trial: Trial) -> TrialOrder:
        return TrialOrder(
            name=_trial_name(trial),
            request=_request(session, search, trial),
            framework=session.task.framework,
            thread_cap=_thread_cap(session, search.trials),
            timeout_s=spec.trial_timeout_s + (_SOAK_S if trial.stage is Stage.SOAK else 0.0),
            host_budget_bytes=session.preflight.host_budget_bytes,
            log=str(session.folder.trial_log(trial.number, trial.stage).resolve()),
            compile_cache=str(programs) if _keeps_programs(session) else None,
        )

    def show_dashboard(dashboard: experiment.Dashboard) -> None:
        screen.dashboard(dashboard.url, metrics_url=dashboard.metrics_url)
        screen.note(f"It asks for the token in {ray_env.token_path(os.environ)}.")
        screen.note(
            f"To record it: prometheus --config.file={dashboard.prometheus_config} "
            "--web.listen-address=127.0.0.1:9090"
        )

    settings = experiment.RaySettings(
        name=session.task.name,
        num_gpus=1 if session.preflight.platform == "cuda" else 0,
        trial_variables=session.caps.variables,
        dashboard=spec.dashboard,
        private=private,
        folder=session.folder.path,
        tensorboard=spec.tensorboard,
        mlflow=spec.mlflow,
    )
    records.quiet_libraries()
    with screen.live(search):
        searcher = StudySearcher(search, order_for, screen)
        callbacks = [SearchMetrics(search, session.preflight)] if spec.dashboard else []
        completed = experiment.run(
            searcher, settings, on_dashboard=show_dashboard, callbacks=callbacks
        )
    if completed:  # --resume of an interrupted search goes on with them
        shutil.rmtree(programs, ignore_errors=True)
    return completed


def _keeps_programs(session: _Session) -> bool:
    """Whether trials read what earlier ones compiled: see `trainables.compile_cache`."""
    return session.task.framework == "jax" and session.preflight.platform == "cpu"


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


def _record(session: _Session, trials: tuple[Trial, ...], now: datetime.datetime) -> RunRecord:
    return RunRecord(
        command=run_record.command_line(sys.orig_argv),
        started_at=now.isoformat(timespec="seconds"),
        task=session.task,
        context=Context.of(session.spec, session.task, session.preflight),
        space={axis.name: list(axis.values) for axis in session.space.axes},
        baseline=session.baseline,
        first_trial=1 + max((trial.number for trial in trials), default=-1),
        machine=preflight_view.sections(session.preflight)
        | {"Software": hardware.software(session.preflight.machine)},
    )


def _write_report(session: _Session) -> None:
    from tune import report

    try:
        report.write(session.folder)
    except OSError as error:
        session.screen.note(f"The report could not be written: {error}")


def _conclude(session: _Session, result: SearchResult, ahead: Foresight) -> int:
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
    files = records.write_trials(
        session.folder.path, result.trials, wall_s=result.wall_s, compiling_ahead_s=ahead.wall_s
    )
    run_record.end(session.folder, Ending.of(result, profiles))
    session.screen.finished(
        result, profiles=profiles, files=(session.folder.report, *files, session.folder.run_log)
    )
    _write_report(session)  # last: whatever may be wrong with a report, the result is out
    if result.partial:
        return cli.INTERRUPTED
    return 0 if profiles else cli.NOTHING_FEASIBLE
