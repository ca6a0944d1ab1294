"""A trial as it is seen from outside: its peaks and its phases, from look to look. Linux only.

The looks are light, because the trial is timed on the same CPUs. They come at intervals, so peaks
are lower bounds: a pool of threads that lives for a few milliseconds can be missed.
"""

import dataclasses
import math
import os
import time
from pathlib import Path

from trainables.classify import printable
from trainables.growth import steady_growth
from trainables.measurement import Outcome, Phase, Progress, Report
from trainables.process_tree import ProcessTree, TreeUsage, most_cpus, proportional_bytes
from trainables.shared_memory import SharedFiles, maps_of

_BOUND = (Phase.WARMUP, Phase.MEASURE)
"""Phases in which the trial's CPUs are its own for sure."""

_LOOK_CLOSELY_S = 2.0  # reading a process's maps holds up its own mmap calls
_LONGEST_MESSAGE = 2000
_NEARLY_FULL_BYTES = 16 * 2**20


@dataclasses.dataclass(slots=True, kw_only=True)
class TrialWatch:
    """The peaks of a trial so far; `None` where it was never seen alive.

    `has_filled_disk`: the log's disk became full since the trial's start.
    """

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
    has_filled_disk: bool = False
    threads_by_phase: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds_by_phase: dict[str, float] = dataclasses.field(default_factory=dict)
    _shared: SharedFiles = dataclasses.field(default_factory=SharedFiles)
    _measured: list[tuple[float, int]] = dataclasses.field(default_factory=list)
    _close_look_due: float = 0.0
    _shared_bytes: int = 0
    _shared_due: float = 0.0
    _in_phase_since: float | None = None
    _free_at_start: float | None = None

    def begin(self) -> None:
        """Take note that the trial's process is there."""
        self._in_phase_since = time.monotonic()

    def hear(self, progress: Progress) -> None:
        """Take note that the trial entered another phase."""
        self.leave_phase()
        self.phase, self._in_phase_since = progress.phase, time.monotonic()
        if progress.phase is Phase.MEASURE:
            self._close_look_due = 0.0  # a short trial is looked at once while it trains
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
        host_bytes = self._host_bytes(usage, budget_bytes)
        if usage.pids:
            self.peak_threads = max(self.peak_threads or 0, usage.num_threads)
            in_phase = self.threads_by_phase.get(self.phase, 0)
            self.threads_by_phase[self.phase] = max(in_phase, usage.num_threads)
            self.peak_host_bytes = max(self.peak_host_bytes or 0, host_bytes)
            if self.phase is Phase.MEASURE:
                self._measured.append((time.monotonic(), usage.resident_bytes))
        if (now := time.monotonic()) >= self._close_look_due:
            self._close_look_due = now + _LOOK_CLOSELY_S
            self._look_at_maps(usage)
            # It starts with the CPUs of its parent, and binds itself before it imports anything.
            if self.phase in _BOUND and (num_cpus := most_cpus(usage.pids)) > self.num_cpus:
                self.num_cpus_taken = max(self.num_cpus_taken or 0, num_cpus)
            free = _free_bytes(self.log_path.parent)
            self._free_at_start = self._free_at_start or free
            self.has_filled_disk = free < _NEARLY_FULL_BYTES < self._free_at_start
        return host_bytes

    def _look_at_maps(self, usage: TreeUsage) -> None:
        """Count the maps of the process that has most: vm.max_map_count is per process."""
        for pid in usage.pids:
            lines = maps_of(pid)
            self.peak_maps = max(self.peak_maps or 0, len(lines))
            self._shared.see(lines)

    def look_last(self, tree: ProcessTree) -> None:
        """Look at the maps of what is about to be killed."""
        self._look_at_maps(tree.usage())

    def remove_shared_memory(self) -> None:
        """Remove the shared memory that the trial left, once all of it is gone."""
        self._shared.remove()

    def _host_bytes(self, usage: TreeUsage, budget_bytes: int | None) -> int:
        """Return resident bytes; where the plain sum is over the budget, shared pages count once.

        How many are shared is read at times, and before anything is taken to be over the budget:
        the kernel walks the page tables of each process for it, beside a trial that is timed.
        """
        resident_bytes, now = usage.resident_bytes, time.monotonic()
        if budget_bytes is None or resident_bytes <= budget_bytes or len(usage.pids) == 1:
            return resident_bytes
        if now >= self._shared_due or resident_bytes - self._shared_bytes > budget_bytes:
            proportional = proportional_bytes(usage.pids)
            self._shared_bytes = 0 if proportional is None else resident_bytes - proportional
            self._shared_due = now + _LOOK_CLOSELY_S
        return max(0, resident_bytes - self._shared_bytes)

    def outcome(self, ending: Report, *, is_gone: bool) -> Outcome:
        """Return how it ended, with all that was seen."""
        self.leave_phase()
        stuck = "" if is_gone else " Its processes outlive SIGKILL (a stuck driver?): restart it."
        return Outcome(
            kind=ending.kind,
            message=printable(ending.message, _LONGEST_MESSAGE) + stuck,
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


def _free_bytes(folder: Path) -> float:
    """Return the free bytes of a folder's disk; no bound where that is not told."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return math.inf
    return state.f_bavail * state.f_frsize if state.f_blocks else math.inf
