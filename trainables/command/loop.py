"""A person's command as a workload: filled in for one configuration, run, and timed by its lines.

command(config, options).measure_trial(request, send)
"""

import collections
import dataclasses
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.structure import revive
from search_spaces.config import Config
from trainables import verdicts
from trainables.classify import SIGNATURES
from trainables.command.folder import make_standing_place
from trainables.command.options import CommandOptions, filled_in
from trainables.command.pace import Pace
from trainables.command.readings import Meter, first_to_match
from trainables.command.running import CommandEnded, RunningCommand, end_as
from trainables.measurement import (
    Measurement,
    Message,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    Throughput,
    TrialRequest,
)
from trainables.workload import WorkloadInputError

_MIN_BLOCKS = 3
"""Fewer blocks are no speed: the run goes on beyond its time for these."""

_SOAK_S = 20.0
"""Lines may be milliseconds apart: a soak takes so long at least."""

_LIVES_ON_S = 5.0
"""Seconds after which a command that printed an out-of-memory error and goes on is ended."""

_NUM_QUOTED_LINES = 3

_Send = Callable[[Message], None]


def command(config: Mapping[str, Any], options: Mapping[str, Any]) -> "CommandLoop":
    """Build the loop of one configuration; `options` are of `CommandOptions`."""
    return CommandLoop(dict(config), revive(CommandOptions, dict(options)))


class CommandLoop:
    """A command for one configuration. It measures itself, because it sets the pace."""

    env_steps_per_update = 1
    """Not known before it runs: the measurement has it."""

    def __init__(self, config: Config, options: CommandOptions) -> None:
        self._config = config
        self._options = options

    def run(self, num_updates: int) -> None:
        """Refuse: a command cannot be told to run for so many updates."""
        raise WorkloadInputError("a command is timed by its own lines, and not by updates.")

    def measure_trial(self, request: TrialRequest, send: _Send) -> Report:
        """Run the command until its speed is known, end it, and report.

        If the command dies of something, this process ends in the same way, so that the cause is
        found in the log as of every other trial.
        """
        folder = Path(self._options.trials or tempfile.gettempdir(), f"trial-{os.getpid()}")
        try:
            make_standing_place(folder, Path.cwd())
            arguments, variables = filled_in(self._config, self._options, folder, os.environ)
            with RunningCommand(arguments, folder, {**os.environ, **variables}) as running:
                ended = _Trial(self._config, self._options, request, send).follow(running)
        finally:
            if not self._options.keep_outputs:
                shutil.rmtree(folder, ignore_errors=True)
        if isinstance(ended, Report):
            return ended
        end_as(ended)
        raise AssertionError("an ended process goes on.")


class _Trial:
    """A trial of a command, from its lines to its report."""

    def __init__(
        self, config: Config, options: CommandOptions, request: TrialRequest, send: _Send
    ) -> None:
        # These bring NumPy and NVML: not before the affinity holds.
        from trainables.disturbance import Neighbours, cpu_times
        from trainables.gpu_monitor import GpuMemory, GpuMonitor

        self._config = config
        self._options = options
        self._request = request
        self._send = send
        self._gpu = GpuMonitor(request.platform, os.environ)
        self._memory = GpuMemory(request.platform)
        self._neighbours = Neighbours(len(request.cpus), lambda: cpu_times(request.cpus))
        self._meter: Meter | None = None
        self._pace = Pace(request.sampling.block_s)
        self._last = collections.deque[str](maxlen=_NUM_QUOTED_LINES)
        self._memory_error: tuple[float, str] | None = None
        self._quiet: list[float] = []
        self._noisy: list[float] = []
        self._disturbed_s = 0.0
        self._estimate: Throughput | None = None
        self._started = self._first_at = self._steady_at = self._looked_at = time.monotonic()

    def follow(self, running: RunningCommand) -> Report | int:
        """Read lines until enough is known; return the report, or the status of a death."""
        self._send(Progress(phase=Phase.BUILD))
        try:
            for line, now in running.lines():
                if report := self._lives_on(now) or self._is_silent(now):
                    return report
                block = None if line is None else self._hear(line, now)
                if block is not None and (report := self._take(block, now)):
                    return report
        except CommandEnded as end:
            if end.status != 0:
                return end.status
        return self._ended_by_itself()

    def _hear(self, line: str, now: float) -> float | None:
        """Take in a line; return the speed of the block that it ends."""
        self._last.append(line)
        if self._memory_error is None and (words := _memory_error(line)):
            self._memory_error = (now, words)
        if self._meter is None:
            reading = first_to_match(self._options.readings, [line])
            if reading is None:
                return None
            self._meter = Meter(reading, self._config)
        point = self._meter.hear(line, now)
        if point is None:
            return None
        had_begun, was_steady = self._pace.has_begun, self._pace.is_steady
        block = self._pace.hear(point)
        if not had_begun:
            self._first_at = now
            self._send(Progress(phase=Phase.WARMUP))
        elif self._pace.is_steady and not was_steady:
            self._steady_at = self._looked_at = now
            self._neighbours.disturbed()  # what they did before does not count
            self._send(Progress(phase=Phase.MEASURE))
        return block

    def _take(self, block: float, now: float) -> Report | None:
        """Take in the speed of a block; return the report if that is enough."""
        from trainables import throughput
        from trainables.disturbance import IGNORES

        self._gpu.look()
        self._memory.look()
        is_disturbed = self._neighbours.disturbed() and not os.environ.get(IGNORES)
        self._disturbed_s += now - self._looked_at if is_disturbed else 0.0
        self._looked_at = now
        (self._noisy if is_disturbed else self._quiet).append(block)
        self._estimate = throughput.summarize(
            self._quiet, len(self._pace.sizes), self._request.sampling, noisy=self._noisy
        )
        slow = verdicts.too_slow(self._estimate, self._request.slow_below)
        if slow:
            return self._report(self._estimate, slow)
        return self._report(self._estimate) if self._is_over(self._estimate) else None

    def _is_over(self, estimate: Throughput) -> bool:
        sampling, spent_s = self._request.sampling, self._looked_at - self._steady_at
        if self._request.num_updates is not None:
            has_all = estimate.num_updates >= self._request.num_updates
            return (has_all and spent_s >= _SOAK_S) or spent_s >= sampling.max_measure_s
        given_up = estimate.disturbed and self._disturbed_s >= sampling.max_disturbed_s
        longest_s = sampling.max_measure_s + min(self._disturbed_s, sampling.max_disturbed_s)
        is_enough = len(self._quiet) + len(self._noisy) >= _MIN_BLOCKS
        return is_enough and (estimate.converged or given_up or spent_s >= longest_s)

    def _report(self, estimate: Throughput, verdict: verdicts.TrialVerdict | None = None) -> Report:
        kind, message = verdict or verdicts.completed(estimate, self._request)
        measurement = Measurement(
            **dataclasses.asdict(estimate),
            env_steps_per_update=max(1, round(statistics.median(self._pace.sizes))),
            startup_s=0.0,
            build_s=self._first_at - self._started,
            compile_s=0.0,
            warmup_s=self._steady_at - self._first_at,
            measure_s=self._looked_at - self._steady_at,
            flops_per_update=None,
            predicted_device_bytes=None,
            peak_device_bytes=self._memory.peak_bytes,
            num_compilations=None,
            **self._gpu.figures(),
            health={},
            others_cpus=self._neighbours.others_cpus,
        )
        return Report(kind=kind, message=message, measurement=measurement)

    def _ended_by_itself(self) -> Report:
        """Return the report on a command that came to its own end, without an error."""
        estimate = self._estimate
        if estimate is not None and estimate.num_blocks >= _MIN_BLOCKS:
            return self._report(estimate)
        if not self._pace.has_begun:
            return Report(
                kind=OutcomeKind.INVALID,
                message=f"the command ended by itself and did not say its speed: {self._said()}",
            )
        return Report(
            kind=OutcomeKind.INVALID,
            message=f"the command ended by itself after {self._pace.num_points} readings, too few "
            "to time: give it a larger total, it is ended as soon as enough was seen.",
        )

    def _is_silent(self, now: float) -> Report | None:
        """Return the report on a command that has not said its speed for too long."""
        waited_s = now - self._started
        if self._pace.has_begun or waited_s < self._options.patience_s:
            return None
        patterns = " or ".join(f"'{reading.pattern}'" for reading in self._options.readings[:3])
        return Report(
            kind=OutcomeKind.ERROR,
            message=f"no line matched {patterns} in {waited_s:.0f} s: {self._said()}",
        )

    def _lives_on(self, now: float) -> Report | None:
        """Return the report on a command that ran out of memory, said so, and goes on."""
        if self._memory_error is None or now - self._memory_error[0] < _LIVES_ON_S:
            return None
        return Report(
            kind=OutcomeKind.DEVICE_MEMORY,
            message=f"the command printed {self._memory_error[1]!r} and went on, so it was ended. "
            "Use a smaller configuration.",
        )

    def _said(self) -> str:
        lines = " / ".join(line[:160] for line in self._last)
        return f"its last lines are: {lines}" if lines else "it printed nothing."


def _memory_error(line: str) -> str | None:
    """Return the words of a line that says that the device's memory is used up."""
    for signature in SIGNATURES:
        is_memory = signature.kind is OutcomeKind.DEVICE_MEMORY
        if is_memory and (found := signature.pattern.search(line)):
            return found[0][:160]
    return None
