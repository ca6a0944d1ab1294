"""One trial of a training that sets its own pace: it is timed by points, at whatever moments."""

import dataclasses
import os
import statistics
import time

from trainables import verdicts
from trainables.measurement import (
    ENV_STEPS,
    Measurement,
    Phase,
    Progress,
    Report,
    Throughput,
    TrialRequest,
)
from trainables.pace import Block, Pace, Point
from trainables.serving import Send

MIN_BLOCKS = 3
"""Fewer blocks are no speed: a trial goes on beyond its time for these."""

_SOAK_S = 20.0
"""Points may be milliseconds apart: a soak takes so long at least."""


class PacedTrial:
    """Takes the points of a training, and returns its report as soon as enough is known.

    Where they come by a clock, and not when an update ends, the count stands still between its
    leaps: at each end of the measurement it may be off by one of them.
    """

    def __init__(self, request: TrialRequest, send: Send) -> None:
        # These bring NumPy and NVML: not before the affinity holds.
        from trainables.disturbance import Neighbours, cpu_times
        from trainables.gpu_monitor import GpuMemory, GpuMonitor

        self.by_clock = False
        """Whether the points come by a clock; to be set before the first."""
        self.unit = ENV_STEPS
        """What the points count, in the plural."""
        self.health: dict[str, float] = {}
        """Metrics of the training, if it tells any."""
        self._request = request
        self._send = send
        self._gpu = GpuMonitor(request.platform, os.environ)
        self._memory = GpuMemory(request.platform, os.environ)
        self._neighbours = Neighbours(len(request.cpus), lambda: cpu_times(request.cpus))
        self._pace = Pace(request.sampling.block_s)
        self._quiet: list[Block] = []
        self._noisy: list[Block] = []
        self._disturbed_s = 0.0
        self._is_disturbed = False
        self._estimate: Throughput | None = None
        self._started = self._first_at = self._steady_at = self._looked_at = time.monotonic()

    @property
    def has_begun(self) -> bool:
        """Return whether there was a first point."""
        return self._pace.has_begun

    @property
    def num_points(self) -> int:
        """The points so far."""
        return self._pace.num_points

    def take(self, point: Point, now: float) -> Report | None:
        """Take in a point that came at the moment `now`; return the report if that is enough."""
        had_begun, was_steady = self._pace.has_begun, self._pace.is_steady
        block = self._pace.hear(point)
        if not had_begun:
            self._first_at = now
            self._send(Progress(phase=Phase.WARMUP))
        elif self._pace.is_steady and not was_steady:
            self._steady_at = self._looked_at = now
            self._neighbours.disturbed()  # what they did before does not count
            self._send(Progress(phase=Phase.MEASURE))
        return None if block is None else self._take_block(block, now)

    def conclude(self) -> Report | None:
        """Return the report on a training that ended by itself, if enough of it was seen."""
        estimate = self._estimate
        if estimate is None or estimate.num_blocks < MIN_BLOCKS:
            return None
        return self._report(estimate, verdicts.completed(estimate, self._request))

    def _take_block(self, block: Block, now: float) -> Report | None:
        from trainables import throughput
        from trainables.disturbance import IGNORES

        self._gpu.look()
        self._memory.look()
        if now > self._looked_at:  # else this block came with the last one, as out of a file
            disturbed = self._neighbours.disturbed()
            self._is_disturbed = disturbed and not os.environ.get(IGNORES)
        is_disturbed = self._is_disturbed
        self._disturbed_s += now - self._looked_at if is_disturbed else 0.0
        self._looked_at = now
        (self._noisy if is_disturbed else self._quiet).append(block)
        self._estimate = throughput.summarize(
            [block.speed for block in self._quiet],
            len(self._pace.sizes),
            self._request.sampling,
            noisy=[block.speed for block in self._noisy],
        )
        if self.by_clock:
            self._estimate = self._counted_in_leaps(self._estimate)
        verdict = verdicts.too_slow(self._estimate, self._request.slow_below, self.unit)
        ends_first = now + block.seconds > self._request.ends_at  # before there is another
        if verdict is None and (ends_first or self._is_over(self._estimate)):
            verdict = verdicts.completed(self._estimate, self._request)
        return None if verdict is None else self._report(self._estimate, verdict)

    def _counted_in_leaps(self, estimate: Throughput) -> Throughput:
        """Return the mean over all blocks that count, at least as uncertain as one leap makes it.

        The median of a few blocks would be a multiple of a leap, and look certain.
        """
        counted = [*self._quiet, *self._noisy] if estimate.disturbed else self._quiet
        seconds = sum(block.seconds for block in counted)
        speed = sum(block.steps for block in counted) / seconds
        leap = self._pace.quantum / seconds
        low, high = min(estimate.low, speed - leap), max(estimate.high, speed + leap)
        is_narrow = leap < self._request.sampling.relative_half_width * speed
        return dataclasses.replace(
            estimate,
            steps_per_second=speed,
            low=max(low, 0.0),
            high=high,
            converged=estimate.converged and is_narrow,
        )

    def _is_over(self, estimate: Throughput) -> bool:
        sampling, spent_s = self._request.sampling, self._looked_at - self._steady_at
        if self._request.num_updates is not None:
            has_all = estimate.num_updates >= self._request.num_updates
            return (has_all and spent_s >= _SOAK_S) or spent_s >= sampling.max_measure_s
        given_up = estimate.disturbed and self._disturbed_s >= sampling.max_disturbed_s
        longest_s = sampling.max_measure_s + min(self._disturbed_s, sampling.max_disturbed_s)
        is_enough = len(self._quiet) + len(self._noisy) >= MIN_BLOCKS
        return is_enough and (estimate.converged or given_up or spent_s >= longest_s)

    def _report(self, estimate: Throughput, verdict: verdicts.TrialVerdict) -> Report:
        kind, message = verdict
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
            health=dict(self.health),
            others_cpus=self._neighbours.others_cpus,
            unit=self.unit,
        )
        return Report(kind=kind, message=message, measurement=measurement)
