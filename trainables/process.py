"""Run one trial in a process of its own: spawn it, watch it, kill all of it, say how it ended.

The watch is light, because the trial is timed on the same CPUs. It looks at intervals, so its peaks
are lower bounds: a pool of threads that lives for a few milliseconds can be missed.
"""

import dataclasses
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from cluster.node import cgroups, limits
from trainables.child import ChildProcess, spawn_child
from trainables.classify import classify
from trainables.growth import steady_growth
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
from trainables.process_tree import ProcessTree, TreeUsage, most_cpus, most_maps, proportional_bytes

_LAUNCH = str(Path(__file__).with_name("launch.py"))
TRIAL_COMMAND = (sys.executable, _LAUNCH, "trial")
COMPILE_COMMAND = (sys.executable, _LAUNCH, "compile_only")

_LOOK_S = 0.05
_LOOK_WHILE_TIMED_S = 0.2
_BOUND = (Phase.WARMUP, Phase.MEASURE)
"""Phases in which the trial's CPUs are its own for sure."""

_LOOK_AT_MAPS_S = 2.0  # reading a process's maps holds up its own mmap calls
_EXIT_GRACE_S = 5.0

_NO_ROOM = Report(
    kind=OutcomeKind.THREAD_LIMIT,
    message="the trial could not be started: there is no room for one more process. "
    "End other processes, or raise the limit.",
)


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
) -> Generator[Progress | Outcome, None, None]:
    """Run one trial; yield its progress, then exactly one outcome, when all of it is gone.

    A `CompileRequest` is run in the same way: what it compiled comes with the progress.

    `environment` is the child's whole environment. Its output is appended to `log_path`, because a
    pipe that nobody reads would stop it. A report counts whatever happens after it (frameworks
    crash while they shut down); a death without a report is classified. Closing the generator, or
    an exception in it, ends the trial.

    The child dies with the thread that calls this, and is watched only while that thread waits
    here: take the next message soon.
    """
    started = time.monotonic()
    deadline = None if timeout_s is None else started + timeout_s
    before = _Refusals.read()
    room_bytes = limits.host_memory().available_bytes
    watch = _Watch(
        thread_cap=thread_cap, num_cpus=len(request.cpus), log_path=log_path, started=started
    )
    try:
        command = command or (
            COMPILE_COMMAND if isinstance(request, CompileRequest) else TRIAL_COMMAND
        )
        child = spawn_child(command, dataclasses.asdict(request), environment, log_path)
    except BlockingIOError:
        yield watch.outcome(_NO_ROOM, is_gone=True)
        return
    watch.begin()
    try:
        ending = yield from _follow(child, watch, deadline, host_budget_bytes)
    finally:
        is_gone = child.end()
    if not isinstance(ending, Report):
        refused = _Refusals.read()
        kind, message = classify(
            None if isinstance(ending, _TimedOut) else child.exit_status,
            child.log_tail(),
            timeout_s=timeout_s,
            thread_events_delta=refused.threads - before.threads,
            oom_events_delta=refused.memory - before.memory,
            peak_host_bytes=watch.peak_host_bytes,
            host_budget_bytes=min(host_budget_bytes or room_bytes, room_bytes),
            peak_maps=watch.peak_maps,
            max_maps=cgroups.parse_int(cgroups.read_text(Path("/proc/sys/vm/max_map_count"))),
        )
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


@dataclasses.dataclass(slots=True, kw_only=True)
class _Watch:
    """The peaks of a trial so far; `None` where it was never seen alive."""

    thread_cap: int
    num_cpus: int
    log_path: Path
    started: float
    phase: Phase = Phase.START
    predicted_device_bytes: int | None = None
    peak_threads: int | None = None
    peak_host_bytes: int | None = None
    peak_maps: int | None = None
    num_cpus_taken: int | None = None
    threads_by_phase: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds_by_phase: dict[str, float] = dataclasses.field(default_factory=dict)
    _measured: list[tuple[float, int]] = dataclasses.field(default_factory=list)
    _maps_due: float = 0.0
    _in_phase_since: float | None = None

    def begin(self) -> None:
        """Take note that the trial's process is there."""
        self._in_phase_since = time.monotonic()

    def hear(self, progress: Progress) -> None:
        """Take note that the trial entered another phase."""
        self.leave_phase()
        self.phase, self._in_phase_since = progress.phase, time.monotonic()
        if progress.phase is Phase.MEASURE:
            self._maps_due = 0.0  # a short trial is looked at once while it trains
        if progress.predicted_device_bytes is not None:
            self.predicted_device_bytes = progress.predicted_device_bytes

    def leave_phase(self) -> None:
        """Take note that the last phase is over; only the end of the process follows."""
        if self._in_phase_since is not None:
            spent_s = time.monotonic() - self._in_phase_since
            self.seconds_by_phase[self.phase] = self.seconds_by_phase.get(self.phase, 0.0) + spent_s
            self._in_phase_since = None

    def look(self, tree: ProcessTree, budget_bytes: int | None) -> int:
        """Take in what the tree uses now; return its bytes of host memory."""
        usage = tree.usage()
        host_bytes = _host_bytes(usage, budget_bytes)
        if usage.pids:
            self.peak_threads = max(self.peak_threads or 0, usage.num_threads)
            in_phase = self.threads_by_phase.get(self.phase, 0)
            self.threads_by_phase[self.phase] = max(in_phase, usage.num_threads)
            self.peak_host_bytes = max(self.peak_host_bytes or 0, host_bytes)
            if self.phase is Phase.MEASURE:
                self._measured.append((time.monotonic(), usage.resident_bytes))
        if (now := time.monotonic()) >= self._maps_due:
            self._maps_due = now + _LOOK_AT_MAPS_S
            self.peak_maps = max(self.peak_maps or 0, most_maps(usage.pids))
            # It starts with the CPUs of its parent, and binds itself before it imports anything.
            if self.phase in _BOUND and (num_cpus := most_cpus(usage.pids)) > self.num_cpus:
                self.num_cpus_taken = max(self.num_cpus_taken or 0, num_cpus)
        return host_bytes

    def outcome(self, ending: Report, *, is_gone: bool) -> Outcome:
        """Return how it ended, with all that was seen."""
        self.leave_phase()
        stuck = "" if is_gone else " Its processes outlive SIGKILL (a stuck driver?): restart it."
        return Outcome(
            kind=ending.kind,
            message=ending.message + stuck,
            wall_s=time.monotonic() - self.started,
            thread_cap=self.thread_cap,
            measurement=ending.measurement,
            predicted_device_bytes=ending.predicted_device_bytes or self.predicted_device_bytes,
            peak_threads=self.peak_threads,
            peak_host_bytes=self.peak_host_bytes,
            peak_maps=self.peak_maps,
            num_cpus_taken=self.num_cpus_taken,
            log=str(self.log_path),
            threads_by_phase=self.threads_by_phase or None,
            seconds_by_phase=self.seconds_by_phase or None,
            host_growth=steady_growth(self._measured),
            ends_search=ending.ends_search,
        )


def _follow(
    child: ChildProcess, watch: _Watch, deadline: float | None, host_budget_bytes: int | None
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
        host_bytes = watch.look(child.tree, host_budget_bytes)
        if host_budget_bytes is not None and host_bytes > host_budget_bytes:
            return _over_budget(host_bytes, host_budget_bytes)
        now = time.monotonic()
        if deadline is not None and now > deadline:
            return _TimedOut()
        if not child.wire.is_open:
            wire_closed_at = wire_closed_at or now
            if now - wire_closed_at > _EXIT_GRACE_S:
                return Report(
                    kind=OutcomeKind.ERROR,
                    message="the trial closed its wire without a report, and its process lives on.",
                )


def _look_interval_s(phase: Phase) -> float:
    """Return a short interval while nothing is timed: pools of compiler threads come and go."""
    return _LOOK_WHILE_TIMED_S if phase is Phase.MEASURE else _LOOK_S


def _host_bytes(usage: TreeUsage, budget_bytes: int | None) -> int:
    """Return resident bytes; where the plain sum is over the budget, shared pages count once."""
    if budget_bytes is None or usage.resident_bytes <= budget_bytes or len(usage.pids) == 1:
        return usage.resident_bytes
    proportional = proportional_bytes(usage.pids)
    return usage.resident_bytes if proportional is None else proportional


def _over_budget(host_bytes: int, budget_bytes: int) -> Report:
    return Report(
        kind=OutcomeKind.HOST_MEMORY,
        message=f"the trial's processes held {host_bytes / 2**30:.2f} GiB of host memory, the "
        f"budget is {budget_bytes / 2**30:.2f} GiB. Use a smaller configuration.",
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
