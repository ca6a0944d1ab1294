"""One search, from options to profile: python -m tune.jax_phase12 and its siblings end up here."""

import datetime
import functools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import cli
from cluster.node import hardware, ray_env
from tune import per_class as side_by_side
from tune import prepare as settling
from tune.driver import drive as driving
from tune.driver import loggers
from tune.driver.drive import Session
from tune.memory import look_ahead as foresight
from tune.memory.compiler import Compiler
from tune.memory.look_ahead import Foresight
from tune.preflight import judge as preflights
from tune.preflight import view as preflight_view
from tune.preflight.judge import Preflight
from tune.prepare import SpaceFor
from tune.profile import export
from tune.run_folder import record as run_record
from tune.run_folder import trials as records
from tune.run_folder.folder import hold
from tune.run_folder.record import Ending, RunRecord
from tune.screen.screen import Screen
from tune.search.finals import FinalsPlan
from tune.search.policy import Search
from tune.search.result import Kind, SearchResult, Trial
from tune.search.stopping import Stopping
from tune.spec import SearchSpec, SpecError, Task
from tune.summary import outcomes as words
from tune.summary.conclusion import Context

if TYPE_CHECKING:  # Optuna takes a while to import, and what imports Ray needs room for threads
    from tune.driver.joined import HardwareClass
    from tune.search.study import Study


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
        options = settling.preflight_options(spec, task)
        return search(preflight=preflights.check(**options, dashboard=spec.dashboard))
    from tune.driver import joined  # imports Ray, which a small machine may not survive

    with joined.connect(address):
        names = list(joined.classes())
        if spec.machine_class is not None or len(names) < 2:
            chosen = joined.require(
                spec.machine_class, timeout_s=spec.class_timeout_s, note=screen.note
            )
            screen.note(chosen.describe())
            preflight = joined.preflight(
                chosen, files=joined.files_of(task), **settling.preflight_options(spec, task)
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
    loggers.require(spec)
    now = datetime.datetime.now(datetime.UTC)
    session = settling.settle(spec, task, space_for, screen, preflight, hardware_class, now)
    recommended = settling.recommended(session)
    with hold(session.folder), records.run_log(session.folder.run_log):
        study = _open_study(session)
        run_record.write(session.folder, _record(session, study.trials, now))
        screen.started(
            task=task,
            spec=spec,
            space=session.space,
            baseline=session.baseline,
            folder=session.folder.path,
        )
        ahead = _look_ahead(session)
        screen.memory(ahead)
        search = _open_search(session, study, ahead, recommended, started_at)
        ending = driving.drive(session, search)
        code = _conclude(session, search.result(partial=not ending.is_finished), ahead)
        if hardware_class is not None and ending.is_class_lost:
            raise SpecError(
                f"no host of class {hardware_class.name} was left for "
                f"{spec.class_timeout_s:.0f} s, so the search ended early: join one again (python "
                "-m cluster.join worker) and go on with --resume."
            )
        return code


def _look_ahead(session: Session) -> Foresight:
    """What fits, by the compiler; it keeps no program, so that trials measure what compiling is."""
    if session.task.framework != "jax" or session.hardware_class is not None:
        return foresight.NOTHING  # what compiles here says nothing of a cluster's hosts
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


def _open_study(session: Session) -> "Study":
    from tune.search.study import Limits, Study, explored_in  # Optuna takes a while to import

    records.quiet_libraries()
    preflight = session.preflight
    room = preflight.findings.thread_limits.room
    identity = _identity(session)
    known = {journal: explored_in(journal, identity=identity) for journal in session.spec.known}
    open_study = Study.resume if session.resume else Study.create
    study = open_study(
        session.folder.journal,
        space=session.space,
        limits=Limits(
            num_threads=None if room is None else room - preflight.ray_threads,
            device_bytes=preflight.device_budget_bytes,
            host_bytes=preflight.host_budget_bytes,
        ),
        identity=identity,
    )
    for journal, explored in known.items():
        adopted = words.plural(study.adopt(journal, explored), "explored trial")
        session.screen.note(f"{adopted} known from {journal}.")
    return study


def _open_search(
    session: Session,
    study: "Study",
    ahead: Foresight,
    recommended: tuple[dict[str, int], ...],
    started_at: float,
) -> Search:
    spec = session.spec
    return Search(
        study,
        space=session.space,
        baseline=session.baseline,
        objective=spec.objective,
        stop=Stopping(
            max_runs=spec.max_runs if spec.part is None else spec.part.max_runs(spec.max_runs),
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
        clock=time.monotonic,
        elapsed_s=time.monotonic() - started_at,
        device_budget_bytes=session.preflight.device_budget_bytes,
        compiled=ahead.compiled,
        warm_start=recommended,
        shard=spec.part,
    )


def _identity(session: Session) -> dict[str, Any]:
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


def _record(session: Session, trials: tuple[Trial, ...], now: datetime.datetime) -> RunRecord:
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


def _write_report(session: Session) -> None:
    from tune.report import __main__ as report

    try:
        report.write(session.folder)
    except OSError as error:
        session.screen.note(f"The report could not be written: {error}")


def _conclude(session: Session, result: SearchResult, ahead: Foresight) -> int:
    """Write profiles and tables, say what was found, choose the exit code."""
    profiles = {} if session.spec.shard is not None else _export(session, result)
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
    found = result.chosen if session.spec.shard is not None else profiles
    return 0 if found else cli.NOTHING_FEASIBLE


def _export(session: Session, result: SearchResult) -> dict[Kind, Path]:
    return export.write_all(
        result,
        session.spec.profiles,
        task=session.task,
        preflight=session.preflight,
        objective=session.spec.objective.value,
        soak_updates=session.spec.soak_updates,
        study=session.folder.journal,
        now=datetime.datetime.now(datetime.UTC),
    )
