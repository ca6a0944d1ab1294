"""Run one trial in a process of its own: spawn it, watch it, kill all of it, say how it ended."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from cluster.node import cgroups, limits
from cluster.node.processes import adopting_orphans
from trainables.child import ChildProcess, spawn_child
from trainables.classify import classify
from trainables.command.folder import own_folder
from trainables.measurement import (
    CompileRequest,
    Outcome,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
    WireError,
    decode,
)
from trainables.temporary_files import own_temporary_files
from trainables.trial_watch import TrialWatch

_LAUNCH = str(Path(__file__).with_name("launch.py"))
TRIAL_COMMAND = (sys.executable, _LAUNCH, "trial")
COMPILE_COMMAND = (sys.executable, _LAUNCH, "compile_only")

_LOOK_S = 0.05
_LOOK_WHILE_TIMED_S = 0.2
_EXIT_GRACE_S = 5.0
_REPORT_S, _REPORT_SHARE = 5.0, 0.1  # before its time is up, a trial reports what it has

_NO_ROOM = Report(  # others took it: no configuration has begun yet
    kind=OutcomeKind.NODE_LOST,
    message="the trial could not be started: there is no room for one more process. "
    "End other processes, or raise the limit.",
)
_HOW_IT_LIVES_ON = "the trial closed its wire without a report, and its process lives on"
_LIVES_ON = Report(kind=OutcomeKind.ERROR, message=f"{_HOW_IT_LIVES_ON}.")  # or its log says more


@dataclasses.dataclass(frozen=True, slots=True)
class _TimedOut:
    """The trial was still running when its time was up."""


def run_child(
    request: TrialRequest | CompileRequest,
    *,
    environment: Mapping[str, str],
    log_path: Path,
    thread_cap: int,
    timeout_s: float | None = None,
    host_budget_bytes: int | None = None,
    command: Sequence[str] | None = None,
    folder: Path | None = None,
    temporary: Path | None = None,
) -> Generator[Progress | Outcome, None, None]:
    """Run one trial; yield its progress, then exactly one outcome, when all of it is gone.

    A `CompileRequest` is run in the same way: what it compiled comes with the progress.

    `environment` is the child's whole environment, `folder` where it runs if not here. `temporary`
    is made for its temporary files, and removed after it: see `own_temporary_files`. Its output is
    appended to `log_path`, because a pipe that nobody reads would stop it. A report counts
    whatever happens after it (frameworks crash while they shut down); a death without a report is
    classified, and so is one that says no more than that its time was up. Closing the generator, or
    an exception in it, ends the trial.

    The child dies with the thread that calls this, and is watched only while that thread waits
    here: take the next message soon.
    """
    started = time.monotonic()
    deadline = None if timeout_s is None else started + timeout_s
    before = _Refusals.read()
    room_bytes = limits.host_memory().available_bytes
    watch = TrialWatch(
        thread_cap=thread_cap, num_cpus=len(request.cpus), log_path=log_path, started=started
    )
    if isinstance(request, TrialRequest) and timeout_s is not None:
        ends_at = started + timeout_s - min(_REPORT_S, _REPORT_SHARE * timeout_s)
        request = dataclasses.replace(request, ends_at=ends_at)
    command = command or (COMPILE_COMMAND if isinstance(request, CompileRequest) else TRIAL_COMMAND)
    with adopting_orphans(), contextlib.ExitStack() as folders:
        try:
            if isinstance(request, TrialRequest):
                request = folders.enter_context(own_folder(request))
                if temporary is not None:
                    environment = folders.enter_context(
                        own_temporary_files(request, environment, temporary)
                    )
        except OSError as error:
            yield watch.outcome(_no_folder(error), is_gone=True)
            return
        try:
            child = spawn_child(
                command, dataclasses.asdict(request), environment, log_path, folder=folder
            )
        except BlockingIOError:
            yield watch.outcome(_NO_ROOM, is_gone=True)
            return
        watch.begin()
        try:
            ending = yield from _follow(child, watch, deadline, host_budget_bytes)
        finally:
            watch.look_last(child.tree)
            if is_gone := child.end():
                watch.remove_shared_memory()
    if not isinstance(ending, Report) or ending.kind is OutcomeKind.TIMEOUT or ending is _LIVES_ON:
        refused = _Refusals.read()
        kind, message = classify(
            child.exit_status if ending is None else None,
            child.log_tail(),
            timeout_s=timeout_s,
            how=_HOW_IT_LIVES_ON if ending is _LIVES_ON else None,
            thread_events_delta=refused.threads - before.threads,
            oom_events_delta=refused.memory - before.memory,
            peak_host_bytes=watch.peak_host_bytes,
            host_budget_bytes=min(host_budget_bytes or room_bytes, room_bytes),
            peak_maps=watch.peak_maps,
            max_maps=cgroups.parse_int(cgroups.read_text(Path("/proc/sys/vm/max_map_count"))),
        )
        if not isinstance(ending, Report) or kind is not OutcomeKind.TIMEOUT:  # it knows more of it
            ending = Report(kind=kind, message=f"during {watch.phase}, {message}")
    yield watch.outcome(ending, is_gone=is_gone)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Refusals:
    """Counts, in this process's cgroups, of refused threads and of processes killed for memory."""

    threads: int
    memory: int

    @classmethod
    def read(cls) -> "_Refusals":
        return cls(threads=limits.thread_limit_events(), memory=_oom_kills())


def _follow(
    child: ChildProcess, watch: TrialWatch, deadline: float | None, host_budget_bytes: int | None
) -> Generator[Progress, None, Report | _TimedOut | None]:
    """Yield the child's progress; return its report, the parent's on it, or `None` if it died."""
    wire_closed_at: float | None = None
    while True:
        has_exited = child.has_exited()  # asked before the wire is read: then it is read to its end
        for line in child.wire.read(0.0 if has_exited else _look_interval_s(watch.phase)):
            try:
                message = decode(line)
            except WireError as error:
                return Report(kind=OutcomeKind.ERROR, message=f"garbage on its wire: {error}")
            if isinstance(message, Report):
                watch.leave_phase()
                child.wait(_EXIT_GRACE_S)
                return message
            watch.hear(message)
            yield message
        if has_exited:
            return None
        child.bound_log()
        now = time.monotonic()
        if not child.wire.is_open:
            wire_closed_at = wire_closed_at or now
        if ending := _reason_to_end(child, watch, host_budget_bytes, wire_closed_at):
            return ending
        if deadline is not None and now > deadline:
            return _TimedOut()


def _reason_to_end(
    child: ChildProcess,
    watch: TrialWatch,
    host_budget_bytes: int | None,
    wire_closed_at: float | None,
) -> Report | None:
    """Look at the child; return the report on it if it must not go on."""
    host_bytes = watch.look(child.tree, host_budget_bytes)
    if host_budget_bytes is not None and host_bytes > host_budget_bytes:
        return _over_budget(host_bytes, host_budget_bytes)
    if watch.has_filled_disk:
        return _filling_disk(watch.log_path.parent)
    if wire_closed_at is not None and time.monotonic() - wire_closed_at > _EXIT_GRACE_S:
        return _LIVES_ON
    return None


def _look_interval_s(phase: Phase) -> float:
    """Return a short interval while nothing is timed: pools of compiler threads come and go."""
    return _LOOK_WHILE_TIMED_S if phase is Phase.MEASURE else _LOOK_S


def _over_budget(host_bytes: int, budget_bytes: int) -> Report:
    return Report(
        kind=OutcomeKind.HOST_MEMORY,
        message=f"the trial's processes held {host_bytes / 2**30:.2f} GiB of host memory, the "
        f"budget is {budget_bytes / 2**30:.2f} GiB. Use a smaller configuration.",
    )


def _no_folder(error: OSError) -> Report:
    return Report(
        kind=OutcomeKind.ERROR,
        message=f"no folder for it could be made: {error}. Free some space, or make it writable.",
    )


def _filling_disk(folder: Path) -> Report:
    return Report(
        kind=OutcomeKind.ERROR,
        message=f"the disk of {folder} became full while it ran, so it was ended: look for what "
        "the training writes.",
    )


def _oom_kills() -> int:
    """Count the processes that were killed for memory in this process's cgroups.

    The kernel counts a kill in the victim's cgroup even where the whole machine ran out. Only a
    process in no memory cgroup is left with the machine's own counter.
    """
    texts = [
        text
        for cgroup in cgroups.ancestry("memory")
        for name in ("memory.events", "memory.oom_control")
        if (text := cgroup.read(name)) is not None
    ]
    texts = texts or [cgroups.read_text(Path("/proc/vmstat")) or ""]
    fields = (line.split() for text in texts for line in text.splitlines())
    return sum(int(value) for name, value in fields if name == "oom_kill")
