"""One search, from options to profile. The search commands parse their options and call `run`."""

import contextlib
import dataclasses
import datetime
import functools
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cluster.errors import UserError
from cluster.node import hardware, ray_env
from cluster.pages import units
from tune import per_class
from tune.driver import loggers
from tune.memory import look_ahead
from tune.memory.compiler import Compiler
from tune.memory.look_ahead import Foresight
from tune.preflight import judge, split, trying
from tune.preflight import view as preflight_view
from tune.preflight.findings import MachineShare, Preflight
from tune.preflight.runtime import require_devices
from tune.prepare import Prepared, SpaceFor, preflight_request, prepare, settle
from tune.run_folder import record
from tune.run_folder.folder import hold, note_others
from tune.run_folder.log import quiet_libraries, run_log
from tune.run_folder.record import RunRecord
from tune.screen.screen import Screen
from tune.search.constraints import Limits
from tune.search.finals import FinalsPlan
from tune.search.identity import read_known
from tune.search.policy import Search
from tune.search.problem import SearchProblem
from tune.search.rules import SearchRules
from tune.search.stopping import Stopping
from tune.search.study import Study, explored_in
from tune.search.trial import Trial
from tune.spec import SearchSpec, Task, cluster_of

if TYPE_CHECKING:  # it imports Ray
    from tune.driver.hosts.choice import ChosenClass


def run(spec: SearchSpec, task: Task, space_for: SpaceFor) -> int:
    """Run a search and return its exit code: 0 with a profile, 1 without, 130 if interrupted.

    Raises:
        UserError: if something that was asked for cannot be done.
    """
    started_at = time.monotonic()
    address = cluster_of(spec, os.environ)
    screen = Screen(as_json=spec.json)
    request = preflight_request(spec, task, os.environ)
    if spec.check:
        return _check(spec, task, space_for, judge.check(request), screen)
    search = functools.partial(_search, spec, task, space_for, started_at=started_at, screen=screen)
    if address is None:
        preflight = judge.check(request)
        is_part = spec.part is not None or bool(spec.known)  # of a search of one class
        shares = {} if is_part else split.shares(preflight, request, os.environ)
        if not shares:
            return search(preflight=preflight)
        for sentence in split.left_out(preflight, shares):
            screen.note(sentence)
        return _search_kinds(shares, spec, task, screen)
    from tune.driver.hosts import choice  # lazy: a machine may be too small for Ray

    with choice.chosen(address, spec, task, request, note=screen.note) as hosts:
        if isinstance(hosts, choice.ChosenClass):
            screen.note(hosts.hardware_class.describe())
            return search(preflight=hosts.preflight, hosts=hosts)
    screen.note(f"{len(hosts)} searches at once, one per class: {', '.join(hosts)}")
    return per_class.run({name: {} for name in hosts}, spec, task_name=task.name)


def _search_kinds(
    shares: Mapping[str, MachineShare], spec: SearchSpec, task: Task, screen: Screen
) -> int:
    """Run a search for each kind of this machine's GPUs at once, each with its share of the rest.

    Raises:
        UserError: as `run`.
    """
    gpus = (f"{name} (GPU {', '.join(share.gpus)})" for name, share in shares.items())
    screen.note(f"{len(shares)} searches at once, one per kind of GPU: {', '.join(gpus)}")
    with note_others(screen.note):
        told = {name: split.told(share) for name, share in shares.items()}
        return per_class.run(told, spec, task_name=task.name)


def _check(
    spec: SearchSpec, task: Task, space_for: SpaceFor, preflight: Preflight, screen: Screen
) -> int:
    """Try the baseline out and say what was found; return the exit code."""
    judge.require_fit(preflight)
    space, baseline, _ = settle(spec, space_for, preflight)
    require_devices(space, baseline, task.framework, preflight)
    options, timeout_s = task.options | task.run_options, spec.trial_timeout_s
    tried = trying.try_out(task.workload, options, baseline, preflight, timeout_s)
    screen.checked(tried, tried.sentences())
    return 0


def _search(
    spec: SearchSpec,
    task: Task,
    space_for: SpaceFor,
    *,
    started_at: float,
    screen: Screen,
    preflight: Preflight,
    hosts: "ChosenClass | None" = None,
) -> int:
    """Run one search on the machine of `preflight`: this one, or the hosts of a class.

    Raises:
        UserError: as `run`.
    """
    screen.preflight(preflight)
    judge.require_fit(preflight)
    if preflight.share is not None and not preflight.findings.affinity_refused:
        os.sched_setaffinity(0, preflight.share.cpus)  # Ray's too: it is to disturb no other search
    loggers.require(spec)
    now = datetime.datetime.now(datetime.UTC)
    prepared = prepare(
        spec,
        task,
        space_for,
        screen=screen,
        preflight=preflight,
        hardware_class=None if hosts is None else hosts.hardware_class,
        now=now,
    )
    with hold(prepared.folder, screen.note), run_log(prepared.folder.run_log):
        try:
            study = _open_study(prepared)
            kept = _record(prepared, study.trials, now)
            record.write(prepared.folder, kept)
        except OSError as error:
            raise UserError(
                f"cannot write to the output folder {prepared.folder.path} ({error.strerror}); "
                "free some space, or choose another with --out."
            ) from error
        # Lazy: Ray has room only now, and takes seconds to import, for which no refusal waits.
        from tune.driver import drive, guard
        from tune.driver.ending import Ending, write_result
        from tune.driver.interruption import uninterrupted

        screen.started(
            task=task,
            spec=spec,
            space=prepared.space,
            baseline=prepared.baseline,
            folder=prepared.folder.path,
        )
        ahead = _look_ahead(prepared)
        screen.memory(ahead)
        search = _open_search(prepared, study, ahead, started_at)

        def conclude_anew() -> int:
            resumed = dataclasses.replace(prepared, resume=True)
            reopened = _open_study(resumed)
            reopened.forgive(before=kept.first_trial)  # what failed since then did fail
            found = _open_search(resumed, reopened, ahead, started_at)
            return write_result(resumed, found, ahead, Ending.DIED)

        with guard.guarded(conclude_anew) as guarding:

            def conclude_now(ending: Ending) -> int:
                try:
                    return write_result(prepared, search, ahead, ending)
                finally:
                    guarding.dismiss()

            try:
                ending = drive.drive(
                    prepared,
                    search,
                    guarding,
                    conclude_now,
                    places=None if hosts is None else hosts.places,
                )
            except UserError:
                raise
            except Exception:  # a defect, of ours or of Ray: what was found comes before it
                with contextlib.suppress(UserError):
                    conclude_now(Ending.INTERRUPTED)
                raise
            with uninterrupted():
                return conclude_now(ending)


def _open_study(prepared: Prepared) -> Study:
    """Open the journal, and copy into it the trials that the journals of `--known` explored."""
    quiet_libraries()
    preflight, identity = prepared.preflight, prepared.identity
    room = preflight.findings.thread_limits.room
    opened = functools.partial(
        Study.resume if prepared.resume else Study.create,
        prepared.folder.journal,
        space=prepared.space,
        limits=Limits(
            num_threads=None if room is None else room - preflight.ray_threads,
            device_bytes=preflight.device_budget_bytes,
            host_bytes=preflight.host_budget_bytes,
        ),
        identity=identity,
    )
    study = opened() if prepared.resume else None
    known = read_known(
        prepared.spec.known,
        functools.partial(explored_in, identity=identity),
        adopted=() if study is None else {trial.source for trial in study.trials},
        note=prepared.screen.note,
    )
    study = study or opened()  # not before: what --known cannot use leaves no journal behind
    for journal, explored in known.items():
        number = units.plural(study.adopt(journal, explored), "explored trial")
        prepared.screen.note(f"{number} known from {journal}.")
    return study


def _record(prepared: Prepared, trials: tuple[Trial, ...], now: datetime.datetime) -> RunRecord:
    """Return the record of a search that starts at `now`; it has `trials` if it is resumed."""
    return RunRecord(
        command=record.command_line(sys.orig_argv),
        started_at=now.isoformat(timespec="seconds"),
        task=prepared.task.shown(),
        context=prepared.context,
        space={axis.name: list(axis.values) for axis in prepared.space.axes},
        baseline=prepared.baseline,
        first_trial=1 + max((trial.number for trial in trials), default=-1),
        machine=preflight_view.sections(prepared.preflight)
        | {"Software": hardware.software(prepared.preflight.machine)},
    )


def _look_ahead(prepared: Prepared) -> Foresight:
    """Ask the compiler what fits into memory.

    No program is kept, so that the trials measure a real compilation.
    """
    is_told = prepared.task.framework == "jax" and not prepared.space.has_words
    if not is_told or prepared.hardware_class is not None:
        return look_ahead.NO_FORESIGHT  # this machine's compiler says nothing of a cluster's hosts
    compiler = Compiler(
        workload=prepared.task.workload,
        options=prepared.task.options,
        caps=prepared.caps,
        environment=ray_env.for_child(os.environ) | prepared.caps.variables,
        log=prepared.folder.path / "trials" / "compile-ahead.log",
        timeout_s=prepared.spec.trial_timeout_s,
    )
    return look_ahead.look_ahead(
        compiler,
        prepared.space,
        prepared.preflight.device_budget_bytes,
        on_gpu=prepared.preflight.on_gpu,
        max_time_s=prepared.spec.max_time_s,
    )


def _open_search(prepared: Prepared, study: Study, ahead: Foresight, started_at: float) -> Search:
    """Return the search over the study's trials that the options ask for."""
    spec, plan = prepared.spec, prepared.spec.effort_plan
    problem = SearchProblem(
        space=prepared.space,
        baseline=prepared.baseline,
        device_budget_bytes=prepared.preflight.device_budget_bytes,
        compiled_ahead=ahead.compiled,
        warm_start=prepared.recommended,
        shard=spec.part,
        host_budget_bytes=prepared.preflight.host_budget_bytes,
        on_gpu=prepared.preflight.on_gpu,
    )
    rules = SearchRules(
        objective=spec.objective,
        stopping=Stopping(
            max_runs=spec.part.max_runs(plan.max_runs) if spec.part else plan.max_runs,
            max_time_s=spec.max_time_s,
            patience=plan.patience,
            min_gain=spec.min_gain,
            num_parallel=prepared.num_parallel_trials,
        ),
        finals=FinalsPlan(
            num_finalists=plan.finalists,
            num_rounds=plan.final_rounds,
            soak_updates=plan.soak_updates,
            order=spec.finals,
            levers=prepared.levers,
        ),
        seed=spec.seed,
        learning=spec.learning,
        num_gpus=max(1, len(prepared.preflight.gpus)),
    )
    elapsed_s = time.monotonic() - started_at
    return Search(study, problem, rules, clock=time.monotonic, elapsed_s=elapsed_s)
