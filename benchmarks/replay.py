"""A recorded landscape as a machine: trials take their recorded seconds and are as noisy.

The clock is simulated. A trial takes the landscape's median of start, build and compile, then the
configuration's own median of warm-up and measurement. (The programs of one space compile about
equally fast; the recording's own load made larger differences.) A trial measures the true speed
with a deviation, drawn from those that were recorded between fresh processes. A configuration that
runs again, in the finals, reads its program.
"""

import dataclasses
import heapq
import itertools
import math
import statistics
from collections.abc import Mapping

import numpy as np

from benchmarks.recorded import ConfigValues, Landscape, Visit, residuals, true_speeds
from search_spaces.space import SearchSpace
from trainables.measurement import Measurement, Outcome, OutcomeKind
from trainables.verdicts import MIN_BLOCKS_TO_GIVE_UP

READ = 1 / 3
"""The share of building and compiling that is left where a program is read: 0.20, 0.21 and 0.44 of
it on the three landscapes, as building is, and 0.08 of compiling (benchmarks.compile_cache).
"""

_TYPICAL_HALF_WIDTH = 0.02
_FEWEST, _MOST = 0.15, 0.40
"""Shares of a landscape that a budget may leave out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPoint:
    """Facts about one configuration. Speeds in env steps per second, seconds of wall time.

    `build_s` is spent before the program can run, also by one that does not fit.
    """

    speed: float
    device_bytes: int
    build_s: float
    warmup_s: float
    measure_s: float
    num_blocks: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A landscape under a memory budget.

    `points` are all its configurations; those over `budget_bytes` do not fit. `deviations` are the
    log deviations of single measurements from the truth. `program_s` is the time to build and
    compile one more program in a process that runs already. `on_gpu`: its trials ran on a GPU,
    whose allocator counts.
    """

    name: str
    space: SearchSpace
    baseline: dict[str, int]
    points: dict[ConfigValues, ReplayPoint]
    budget_bytes: int
    deviations: tuple[float, ...]
    program_s: float = 0.0
    on_gpu: bool = False

    def fits(self, config: ConfigValues) -> bool:
        """Return whether the configuration's program is within the budget."""
        return self.points[config].device_bytes <= self.budget_bytes

    @property
    def best_speed(self) -> float:
        """True speed of the fastest configuration that fits."""
        return max(point.speed for config, point in self.points.items() if self.fits(config))

    def share(self, config: ConfigValues) -> float:
        """Return the true speed of a configuration as a share of the best; 0 if it does not fit."""
        return self.points[config].speed / self.best_speed if self.fits(config) else 0.0

    @property
    def infeasible_share(self) -> float:
        """Share of the configurations that do not fit."""
        return 1.0 - statistics.fmean(self.fits(config) for config in self.points)


def replay(name: str, landscape: Landscape) -> Replay:
    """Put a landscape under a budget of memory.

    The baseline is never left out: a person who searches has something that runs.
    """
    speeds = true_speeds(landscape)
    visits: dict[ConfigValues, list[Visit]] = {config: [] for config in speeds}
    for visit in landscape.visits:
        if visit.config in visits and visit.steps_per_second is not None:
            visits[visit.config].append(visit)
    ran = [visit for visit in landscape.of("pass") if visit.steps_per_second is not None]
    startup_s = statistics.median(visit.startup_s or 0.0 for visit in ran)
    program_s = statistics.median((v.build_s or 0.0) + (v.compile_s or 0.0) for v in ran)
    points = {
        config: ReplayPoint(
            speed=speeds[config],
            device_bytes=visits[config][0].device_bytes or 0,
            build_s=startup_s + program_s,
            warmup_s=statistics.median(visit.warmup_s or 0.0 for visit in visits[config]),
            measure_s=statistics.median(visit.measure_s or 0.0 for visit in visits[config]),
            num_blocks=statistics.median_low(v.num_blocks or 1 for v in visits[config]),
        )
        for config in speeds
    }
    return Replay(
        name=name,
        space=landscape.space,
        baseline=dict(zip(landscape.axes, landscape.baseline, strict=True)),
        points=points,
        budget_bytes=choose_budget(points, points[landscape.baseline].device_bytes),
        deviations=tuple(residuals(landscape)),
        program_s=program_s,
        on_gpu="gpu" in landscape.about,
    )


def choose_budget(points: Mapping[ConfigValues, ReplayPoint], least: int) -> int:
    """Return the budget, at least `least` bytes, in the middle of the widest gap between two needs.

    The budget leaves out 15 to 40 % of the points. A budget drawn at random from that range would
    most often lie in this gap.
    """
    needs = sorted({point.device_bytes for point in points.values()})
    gaps = [
        (above / below, int(math.sqrt(below * above)))
        for below, above in itertools.pairwise(needs)
        if below >= least
        and _FEWEST <= statistics.fmean(p.device_bytes > below for p in points.values()) <= _MOST
    ]
    return max(gaps)[1]


class SimulatedMachine:
    """Hosts that run trials of a replay on a simulated clock; the seed fixes the noise.

    `num_hosts` equal hosts work side by side: `start` occupies one, `wait` lets time pass until the
    first trial is done. `run` does both.
    """

    def __init__(self, replay: Replay, seed: int, *, num_hosts: int = 1) -> None:
        self.replay = replay
        self.now = 0.0
        """Simulated seconds."""
        self.ran: list[tuple[ConfigValues, float]] = []
        """Each trial's configuration, and when it had ended, in the order of the ends."""
        self._num_hosts = num_hosts
        self._compiled: set[ConfigValues] = set()
        self._running: list[tuple[float, int, ConfigValues, Outcome]] = []  # a heap by their ends
        self._numbers = itertools.count()
        self._rng = np.random.default_rng((seed, 1))

    @property
    def has_room(self) -> bool:
        """Return whether a host is idle."""
        return len(self._running) < self._num_hosts

    @property
    def is_idle(self) -> bool:
        """Return whether all hosts are idle."""
        return not self._running

    def start(self, config: ConfigValues, *, slow_below: float | None = None) -> int:
        """Start a trial on an idle host; return its number."""
        assert self.has_room
        outcome = self._outcome(config, slow_below)
        number = next(self._numbers)
        heapq.heappush(self._running, (self.now + outcome.wall_s, number, config, outcome))
        return number

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the first trial that ends; return its number and its outcome."""
        self.now, number, config, outcome = heapq.heappop(self._running)
        self.ran.append((config, self.now))
        return number, outcome

    def run(self, config: ConfigValues, *, slow_below: float | None = None) -> Outcome:
        """Run one trial to its end."""
        self.start(config, slow_below=slow_below)
        return self.wait()[1]

    def _outcome(self, config: ConfigValues, slow_below: float | None) -> Outcome:
        """Return a trial's outcome. If slow, it ends after as few blocks as a real trial."""
        point = self.replay.points[config]
        build_s = point.build_s
        if config in self._compiled:
            build_s -= (1.0 - READ) * self.replay.program_s
        self._compiled.add(config)
        if not self.replay.fits(config):
            return Outcome(
                kind=OutcomeKind.DEVICE_MEMORY,
                message="it does not fit.",
                wall_s=build_s,
                thread_cap=1,
                predicted_device_bytes=point.device_bytes,
            )
        speed = point.speed * math.exp(self._rng.choice(self.replay.deviations))
        high = speed * (1.0 + _TYPICAL_HALF_WIDTH)
        is_slow = slow_below is not None and high < slow_below
        share = min(1.0, MIN_BLOCKS_TO_GIVE_UP / point.num_blocks) if is_slow else 1.0
        wall_s = build_s + point.warmup_s + point.measure_s * share
        return Outcome(
            kind=OutcomeKind.SLOW if is_slow else OutcomeKind.COMPLETED,
            message="measured.",
            wall_s=wall_s,
            thread_cap=1,
            measurement=measurement_of(point, speed, on_gpu=self.replay.on_gpu),
            predicted_device_bytes=point.device_bytes,
        )


def measurement_of(point: ReplayPoint, speed: float, *, on_gpu: bool = False) -> Measurement:
    """Return what a trial of this configuration measures if it measures `speed`."""
    return Measurement(
        steps_per_second=speed,
        low=speed * (1.0 - _TYPICAL_HALF_WIDTH),
        high=speed * (1.0 + _TYPICAL_HALF_WIDTH),
        converged=True,
        num_blocks=point.num_blocks,
        num_updates=point.num_blocks,
        env_steps_per_update=1,
        startup_s=0.0,
        build_s=0.0,
        compile_s=point.build_s,
        warmup_s=point.warmup_s,
        measure_s=point.measure_s,
        flops_per_update=None,
        predicted_device_bytes=point.device_bytes,
        peak_device_bytes=point.device_bytes if on_gpu else None,
        num_compilations=1 if on_gpu else None,
        gpu_utilization=None,
        gpu_temperature_c=None,
        gpu_power_w=None,
        health={},
    )
