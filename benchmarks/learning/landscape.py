"""A recorded learning landscape as a machine: trainings take their recorded steps at the recorded
speed of their configuration, on a simulated clock.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorded import drawn_to_surface
from benchmarks.replay import READ, ReplayPoint, measurement_of
from search_spaces.config import Config, ConfigKey, config_key, num_samples
from search_spaces.space import Axis, SearchSpace
from trainables.curve import LearningCurve, TrainingRequest
from trainables.measurement import Outcome, OutcomeKind
from trainables.training import Trainer
from tune.memory.model import Array
from tune.search.learning import levels_on_the_way

_STARTUP_S, _WARMUP_S = 3.0, 1.0
_EXPLORE_S, _FINAL_S = 4.0, 6.0
"""Typical seconds of a trial on the two cores that recorded the landscapes."""

_SPEED_SD = 0.03

_CLOSE = 3.0

_POOLED_DOF = 2
"""Degrees of freedom that the typical variance between seeds counts for, beside a
configuration's own.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTraining:
    """The env steps and returns of one training from scratch, of one seed."""

    env_steps: tuple[int, ...]
    returns: tuple[float, ...]

    def curve(self, speed: float) -> LearningCurve:
        """Return the curve at a speed in env steps per second."""
        return LearningCurve(
            seconds=tuple(steps / speed for steps in self.env_steps),
            env_steps=self.env_steps,
            returns=self.returns,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordedConfig:
    """One configuration: its steady speed, the seconds to compile, and its trainings by seed."""

    config: Config
    steps_per_second: float
    compile_s: float
    noise_scale: float | None
    trainings: tuple[RecordedTraining, ...]

    def logs_to(self, target: float) -> list[float]:
        """Return the log seconds of each seed to a return; none if no seed got there.

        A seed that did not counts as it does in a search: as twice the time of its training.
        """
        each = self.each_to(target)
        if min(each) == math.inf:
            return []
        lasted = (one.env_steps[-1] / self.steps_per_second for one in self.trainings)
        return [
            math.log(2.0 * whole_s if seconds == math.inf else seconds)
            for seconds, whole_s in zip(each, lasted, strict=True)
        ]

    def each_to(self, target: float) -> list[float]:
        """Return the seconds of each seed to a return, infinite where it was not reached."""
        curves = (one.curve(self.steps_per_second) for one in self.trainings)
        reached = (curve.reached_s(target) for curve in curves)
        return [math.inf if seconds is None else seconds for seconds in reached]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LearningLandscape:
    """All configurations of a grid, and the return that counts as learned.

    `true_s` are the seconds to it that each configuration truly needs, of those that get there.
    """

    name: str
    target: float
    baseline: Config
    configs: dict[ConfigKey, RecordedConfig]
    true_s: dict[ConfigKey, float]

    @property
    def space(self) -> SearchSpace:
        """The space that the grid spans."""
        names = list(self.baseline)
        values = {name: {one.config[name] for one in self.configs.values()} for name in names}
        return SearchSpace(
            axes=tuple(Axis(name=name, values=tuple(sorted(values[name]))) for name in names)
        )

    @property
    def best_s(self) -> float:
        """The seconds to the target of the configuration that truly learns fastest."""
        return min(self.true_s.values())

    def told_by_a_seed(self) -> tuple[float, float]:
        """Return the correlations of what a configuration needs with the seconds of one seed of it:
        to the target, and as a mean over levels on the way.

        Of those that need less than three times the best's, that a search is to tell apart.
        """
        close = [key for key, seconds in self.true_s.items() if seconds < _CLOSE * self.best_s]
        truth = np.log([self.true_s[key] for key in close])
        start = statistics.median(
            training.returns[0] for one in self.configs.values() for training in one.trainings
        )
        levels = levels_on_the_way(start, self.target)
        # [configurations, seeds, levels]
        logs = np.array([[self.configs[key].logs_to(level) for level in levels] for key in close])
        logs = logs.transpose(0, 2, 1)
        return _correlation(logs[:, :, -1], truth), _correlation(logs.mean(axis=2), truth)

    def times_as_long(self, config: Config | None) -> float:
        """Return how many times as long as the best a configuration truly needs."""
        if config is None:
            return math.inf
        return self.true_s.get(config_key(config), math.inf) / self.best_s


TARGETS = {"cartpole": 400.0, "breakout": 10.0, "trend": 7.0}
"""The return of each that counts as learned."""

_BASELINE = {"num_envs": 64, "num_steps": 128, "batch_size": 1024}


def _correlation(seeds: Array, truth: Array) -> float:
    """Return the mean correlation of one seed of each [n, seeds] with the truth [n]."""
    return statistics.fmean(float(np.corrcoef(one, truth)[0, 1]) for one in seeds.T)


def read(path: Path, target: float | None = None) -> LearningLandscape:
    """Read a recorded landscape, with another return than its own to be learned if one is given.

    Raises:
        ValueError: if no configuration gets to that return.
    """
    configs = {}
    for one in json.loads(path.read_text())["configs"]:
        trainings = tuple(
            RecordedTraining(env_steps=tuple(c["env_steps"]), returns=tuple(c["returns"]))
            for c in one["curves"]
        )
        configs[config_key(one["config"])] = RecordedConfig(
            config=one["config"],
            steps_per_second=one["steps_per_second"],
            compile_s=one["compile_s"],
            noise_scale=one.get("noise_scale"),
            trainings=trainings,
        )
    target = TARGETS[path.stem] if target is None else target
    if not any(one.logs_to(target) for one in configs.values()):
        raise ValueError(f"no configuration of {path.name} gets to {target:g}.")
    return LearningLandscape(
        name=path.stem,
        target=target,
        baseline=_BASELINE,
        configs=configs,
        true_s=true_seconds(configs, target),
    )


def true_seconds(
    configs: Mapping[ConfigKey, RecordedConfig], target: float
) -> dict[ConfigKey, float]:
    """Return the best estimates of the seconds to a return: means over seeds, drawn to a surface.

    Of many that learn about as fast, the mean of the luckiest is too short.
    """
    logs = {key: one.logs_to(target) for key, one in configs.items()}
    logs = {key: values for key, values in logs.items() if values}
    points = np.array([list(configs[key].config.values()) for key in logs], dtype=float)
    means = np.array([statistics.fmean(values) for values in logs.values()])
    variances = np.array([statistics.variance(values) for values in logs.values()])
    # Seeds of some configurations agree, of others one in three never gets there.
    counts = np.array([len(values) for values in logs.values()])
    pooled = _POOLED_DOF * float(np.median(variances)) + (counts - 1) * variances
    noise = pooled / (_POOLED_DOF + counts - 1) / counts
    drawn = drawn_to_surface(points, means, noise)
    return dict(zip(logs, np.exp(drawn).tolist(), strict=True))


class SimulatedTrainings:
    """One machine that runs trials of a landscape, one after the other, on a simulated clock.

    A seed that a search asks for is one of the recorded ones, another in each search.
    """

    def __init__(self, landscape: LearningLandscape, seed: int) -> None:
        self.now = 0.0
        """Simulated seconds."""
        self._landscape = landscape
        self._rng = np.random.default_rng((seed, 2))
        self._order: dict[ConfigKey, list[int]] = {}
        self._compiled: set[ConfigKey] = set()

    def measure(self, config: Config, *, is_final: bool = False) -> Outcome:
        """Run a trial of speed."""
        recorded = self._landscape.configs[config_key(config)]
        seconds = _FINAL_S if is_final else _EXPLORE_S
        return self._outcome(recorded, seconds, self._speed(recorded), None)

    def train(self, config: Config, request: TrainingRequest) -> Outcome:
        """Train from scratch, by the product's own rules of when that is over."""
        recorded = self._landscape.configs[config_key(config)]
        training = self.training(config, request.seed)
        speed, trainer = self._speed(recorded), Trainer(request)
        whole, next_s, last_s = training.curve(speed), 0.0, 0.0
        for seconds, env_steps, value in zip(
            whole.seconds, whole.env_steps, whole.returns, strict=True
        ):
            if seconds < next_s and seconds < request.max_s:
                continue
            trainer.take(seconds, env_steps, value, held_out=False)
            last_s = seconds
            next_s = seconds + trainer.next_stretch_s(seconds)
            if trainer.verdict is not None:
                break
        return self._outcome(recorded, min(last_s, request.max_s), speed, trainer.curve)

    def training(self, config: Config, seed: int) -> RecordedTraining:
        """Return the recorded training that stands for a seed."""
        recorded = self._landscape.configs[config_key(config)]
        number = len(recorded.trainings)
        order = self._order.setdefault(
            config_key(config), [int(place) for place in self._rng.permutation(number)]
        )
        return recorded.trainings[order[seed % number]]

    def start_s(self, config: Config) -> float:
        """Return the seconds until a process trains: the first one of a configuration compiles."""
        key = config_key(config)
        share = READ if key in self._compiled else 1.0
        self._compiled.add(key)
        return _STARTUP_S + share * self._landscape.configs[key].compile_s

    def _speed(self, recorded: RecordedConfig) -> float:
        return float(recorded.steps_per_second * np.exp(self._rng.normal(0.0, _SPEED_SD)))

    def _outcome(
        self, recorded: RecordedConfig, seconds: float, speed: float, curve: LearningCurve | None
    ) -> Outcome:
        point = ReplayPoint(
            speed=recorded.steps_per_second,
            device_bytes=1,
            build_s=self.start_s(recorded.config),
            warmup_s=_WARMUP_S,
            measure_s=seconds,
            num_blocks=10,
        )
        health: dict[str, Any] = {}
        if recorded.noise_scale is not None:
            health = {"gradient_noise_scale": recorded.noise_scale}
        wall_s = point.build_s + (0.0 if curve else _WARMUP_S) + seconds
        self.now += wall_s
        measured = dataclasses.replace(
            measurement_of(point, speed),
            compile_s=recorded.compile_s,
            env_steps_per_update=num_samples(recorded.config) or 1,
            health=health,
            curve=curve,
        )
        return Outcome(
            kind=OutcomeKind.COMPLETED,
            message="measured.",
            wall_s=wall_s,
            thread_cap=1,
            measurement=measured,
        )
