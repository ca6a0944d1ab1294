"""One trial of a training that sets its own pace: it is timed by points, at whatever moments.

A training from scratch is judged by the returns that it tells, too. Its seconds count from the
first point: the start-up before it is left out.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

from trainables import verdicts
from trainables.curve import LearningCurve
from trainables.health import RETURN
from trainables.measurement import (
    ENV_STEPS,
    Measurement,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.pace import Block, Pace, Point
from trainables.sampling import Throughput
from trainables.serving import Send
from trainables.training import ToldReturns

MIN_BLOCKS = 3
"""Fewer blocks are no speed: a trial goes on beyond its time for these."""

_SOAK_S = 20.0
"""Points may be milliseconds apart: a soak takes so long at least."""

_MOST_BLOCKS = 200
"""The blocks of a training from scratch are no shorter than this part of the whole."""

_TO_END_S = 3.0
"""Seconds that it may take to end a training, before its time is up."""


class PacedTrial:
    """Takes the points of a training, and returns its report as soon as enough is known.

    Where they come by a clock, and not when an update ends, the count stands still between its
    leaps: at each end of the measurement it may be off by one of them. Where they come within
    updates, at each step of a rollout, say, the time of learning comes at once, and rarely.
    """

    def __init__(self, request: TrialRequest, send: Send) -> None:
        # These bring NumPy and NVML: not before the affinity holds.
        from trainables.disturbance import neighbours_on
        from trainables.gpu_monitor import GpuMemory, GpuMonitor, GpuNeighbours

        self.by_clock = False
        """Whether the points come by a clock, or within updates; to be set before the first."""
        self.unit = ENV_STEPS
        """What the points count, in the plural."""
        self.counted = "update"
        """What a point stands for, in the singular."""
        self.late_s = 0.0
        """Seconds by which the first point came late, as out of a file; to be set before it."""
        self.health: dict[str, float] = {}
        """Metrics of the training, if it tells any."""
        self.without_return: Callable[[], str] = lambda: f"let it tell a {RETURN!r}."
        """Returns the advice on a training from scratch that told no return."""
        self._request = request
        self._send = send
        self._gpu = GpuMonitor(request.platform)
        self._memory = GpuMemory(request.platform)
        self._neighbours = neighbours_on(request.cpus, on_gpu=request.platform == "cuda")
        self._on_gpu = GpuNeighbours(request.platform)
        shortest_s = 0.0 if request.training is None else request.training.max_s / _MOST_BLOCKS
        self._pace = Pace(max(shortest_s, request.sampling.block_s))
        self._learning = None if request.training is None else ToldReturns(request.training)
        self._last = Point(0.0, 0.0)
        self._told: dict[str, float] = {}
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
        self._last = point
        if not had_begun:
            self._first_at = now - self.late_s
            self._send(Progress(phase=Phase.WARMUP))
        elif self._pace.is_steady and not was_steady:
            self._steady_at = self._looked_at = now
            self._looks_disturbed()  # what they did before does not count
            self._neighbours.forget()
            self._on_gpu.num_blocks = 0
            self._send(Progress(phase=Phase.MEASURE))
        report = None if block is None else self._take_block(block, now)
        return report or self.look(now)

    def tell(self, value: float, at: float, *, of_few: bool = False) -> None:
        """Take in the mean return that was told at a moment, also before the first point.

        One `of_few` episodes counts only if there is no other in the end.
        """
        self._told = {RETURN: value}
        if self._learning is not None:
            self._learning.hear(at, value, of_few=of_few)

    def look(self, now: float) -> Report | None:
        """Return the report on a training that is over: at its target, say, or out of time."""
        learning, seconds = self._learning, now - self._first_at
        if not self.has_begun:
            return None
        if learning is None:
            return self._out_of_time(seconds) if now > self._request.ends_at else None
        learning.look(seconds, self._first_at, self._last.steps)
        # One that is at its target at its first reading trains on until its speed is known, too.
        if learning.trainer.verdict and (seconds >= learning.max_s or self._estimated()):
            return self._learned(learning)
        if now + _TO_END_S > self._request.ends_at:
            return self._learned(learning, "its time was up")
        return None

    def conclude(self) -> Report | None:
        """Return the report on a training that ended by itself, if enough of it was seen."""
        if self._learning is not None:
            return self._learned(self._learning, "it ended by itself") if self.has_begun else None
        estimate = self._estimate
        if estimate is None or estimate.num_blocks < MIN_BLOCKS:
            return None
        return self._report(
            estimate, verdicts.completed(estimate, self._request, counted=self.counted)
        )

    def _learned(self, learning: ToldReturns, why: str = "") -> Report:
        """Return the report on a training from scratch; without any return it is an error."""
        learning.take_told(self._first_at, self._last.steps, of_few=True)
        curve, estimate = learning.trainer.curve, self._estimated()
        seconds = time.monotonic() - self._first_at
        verdict = learning.trainer.verdict or f"trained for {seconds:.3g} s: {why}."
        if curve is None and not learning.has_gates:
            return Report(
                kind=OutcomeKind.ERROR,
                message=f"it told no return in {seconds:.3g} s of training, and learning is judged "
                f"by that: {self.without_return()}",
            )
        if estimate is None:
            return Report(
                kind=OutcomeKind.INVALID,
                message=f"it told its steps once in {seconds:.3g} s of training, so that its speed "
                "is not known: give --learn-time more.",
            )
        if not self._pace.is_steady:
            self._steady_at = self._looked_at = self._first_at
        return self._report(estimate, (OutcomeKind.COMPLETED, verdict), curve)

    def _out_of_time(self, seconds: float) -> Report | None:
        """Return the report on a training that told its steps too rarely to be timed."""
        if self._quiet or self._noisy:
            return None
        return Report(
            kind=OutcomeKind.TIMEOUT,
            message=f"its time was up {seconds:.0f} s after its first reading, of which there were "
            f"{self.num_points} in all, too few to time: let it print more often, or raise "
            "--trial-timeout, or --max-time; if it should have printed more, see what hangs.",
        )

    def _estimated(self) -> Throughput | None:
        """Return the speed of a training from scratch, of its points where there is no block."""
        if self._quiet or self._noisy:
            return self._summary()
        if self._last.at_s <= 0.0 or self._last.steps <= 0.0:
            return None
        speed = self._last.steps / self._last.at_s
        return Throughput(
            steps_per_second=speed,
            low=speed,
            high=speed,
            converged=False,
            num_blocks=0,
            num_updates=len(self._pace.sizes),
        )

    def _take_block(self, block: Block, now: float) -> Report | None:
        from trainables.disturbance import ignores_neighbours

        self._gpu.look()
        self._memory.look()
        if now > self._looked_at:  # else this block came with the last one, as out of a file
            self._is_disturbed = self._looks_disturbed() and not ignores_neighbours()
        is_disturbed = self._is_disturbed
        self._disturbed_s += now - self._looked_at if is_disturbed else 0.0
        self._looked_at = now
        (self._noisy if is_disturbed else self._quiet).append(block)
        if self._learning is not None:
            return None
        self._estimate = self._summary()
        verdict = verdicts.too_slow(self._estimate, self._request.slow_below, self.unit)
        ends_first = now + block.seconds > self._request.ends_at  # before there is another
        if verdict is None and (ends_first or self._is_over(self._estimate)):
            verdict = verdicts.completed(self._estimate, self._request, counted=self.counted)
        return None if verdict is None else self._report(self._estimate, verdict)

    def _looks_disturbed(self) -> bool:
        """Return whether others disturbed it since the last look, on its CPUs or its GPU."""
        return any([self._neighbours.disturbed(), self._on_gpu.disturbed()])

    def _summary(self) -> Throughput:
        from trainables import throughput

        estimate = throughput.summarize(
            [block.speed for block in self._quiet],
            len(self._pace.sizes),
            self._request.sampling,
            noisy=[block.speed for block in self._noisy],
        )
        return self._mean(estimate) if self.by_clock else estimate

    def _mean(self, estimate: Throughput) -> Throughput:
        """Return the mean over all blocks that count, at least as uncertain as one leap makes it.

        The median of a few blocks would be a multiple of a leap, or the speed of a rollout without
        its learning, and look certain. Nothing tells beforehand when an update will come, so the
        mean is not known before its time is up.
        """
        from trainables.throughput import mean_interval

        counted = [*self._quiet, *self._noisy] if estimate.disturbed else self._quiet
        steps, spent = [block.steps for block in counted], [block.seconds for block in counted]
        seconds, sampling = sum(spent), self._request.sampling
        speed, leap = sum(steps) / seconds, self._pace.quantum / seconds
        low, high = mean_interval(steps, spent)
        low, high = min(low, speed - leap), max(high, speed + leap)
        return dataclasses.replace(
            estimate,
            steps_per_second=speed,
            low=max(low, 0.0),
            high=high,
            converged=not estimate.disturbed
            and estimate.num_blocks >= sampling.min_blocks
            and seconds >= sampling.max_measure_s
            and (high - low) / 2 < sampling.relative_half_width * speed,
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

    def _report(
        self,
        estimate: Throughput,
        verdict: verdicts.TrialVerdict,
        curve: LearningCurve | None = None,
    ) -> Report:
        kind, message = verdict
        if estimate.steps_per_second <= 0.0:
            kind, message = verdicts.stood_still(self.unit)
            return Report(kind=kind, message=message)
        measurement = Measurement(
            **dataclasses.asdict(estimate),
            env_steps_per_update=max(1, round(statistics.median(self._pace.sizes or [1]))),
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
            health=self._told | self.health,
            own_cpus=self._neighbours.own_cpus,
            others_cpus=self._neighbours.others_cpus,
            num_gpu_shared_blocks=self._on_gpu.num_blocks,
            unit=self.unit,
            curve=curve,
            counted=self.counted,
        )
        return Report(kind=kind, message=message, measurement=measurement)
