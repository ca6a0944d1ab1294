"""A simulated machine with a neighbour: a recorded landscape with a clock of its own.

A neighbour takes a share of it at certain times. Trials sample it by the real rules, blocks,
disturbances and all. Neighbours that the kernel counts are seen by a trial. Others (a shared memory
bus, a slow drift of the clock) slow its canary down, as much as they slow the training: no rule was
chosen on those.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from benchmarks.replay import Replay, ReplayPoint, measurement_of
from trainables import throughput
from trainables.machine_speed import SLOW_COMPUTE, MachineBest, MachineSpeed, level, slowed
from trainables.measurement import Measurement, Outcome, OutcomeKind
from trainables.sampling import Sampling
from tune.search.noise import KNOWN_SD
from tune.search.trial import Stage, Trial

SOAK_UPDATES = 200
_SEEN_SHARE = 0.1
_STEP_S = 0.05
_BLOCK_SD = 0.035
"""Of blocks from each other in a quiet process: benchmarks.flips, slow blocks left out."""
_CANARY_SD = 0.005
"""Of a canary's products from look to look in quiet: benchmarks.unseen."""

_CACHED = frozenset({Stage.FINAL, Stage.SOAK})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A program beside the search: the share of the machine that it takes at a second.

    `is_seen` says whether the kernel counts what it takes.
    """

    takes: Callable[[float], float]
    is_seen: bool = True


def _bursts(on_s: float, off_s: float, share: float) -> Callable[[float], float]:
    return lambda at_s: share if at_s % (on_s + off_s) < on_s else 0.0


NEIGHBOURS = {
    "none": Neighbour(takes=lambda at_s: 0.0),
    "bursts, 20 s on, 20 s off": Neighbour(takes=_bursts(20.0, 20.0, 0.5)),
    "bursts, 3 s on, 15 s off": Neighbour(takes=_bursts(3.0, 15.0, 0.5)),
    "two minutes from the finals on": Neighbour(
        takes=lambda at_s: 0.5 if 150.0 <= at_s < 270.0 else 0.0
    ),
    "always": Neighbour(takes=lambda at_s: 0.5),
    "unseen: a drift of 15 % in 10 min": Neighbour(
        takes=lambda at_s: 0.075 - 0.075 * math.cos(2 * math.pi * at_s / 600.0), is_seen=False
    ),
    "unseen: bursts of 20 %": Neighbour(takes=_bursts(45.0, 45.0, 0.2), is_seen=False),
    "unseen: 25 s at 0.65 x, 30 s not": Neighbour(takes=_bursts(25.0, 30.0, 0.35), is_seen=False),
}


def slowed_down(scene: Replay, by: float) -> Replay:
    """Return the machine of which everything takes `by` times as long."""
    points = {
        config: dataclasses.replace(
            point, speed=point.speed / by, build_s=by * point.build_s, warmup_s=by * point.warmup_s
        )
        for config, point in scene.points.items()
    }
    return dataclasses.replace(scene, points=points)


class NoisyMachine:
    """A machine that samples trials by the real rules, on a clock that it moves itself."""

    def __init__(self, scene: Replay, neighbour: Neighbour, seed: int) -> None:
        self.now = 0.0
        self._scene = scene
        self._neighbour = neighbour
        self._rng = np.random.default_rng((seed, 2))

    def run(self, trial: Trial, best: MachineBest, sampling: Sampling) -> Outcome:
        """Run one trial to its end; `best` is what the search knows of the machine."""
        point = self._scene.points[tuple(trial.config.values())]
        started = self.now
        self.now += point.build_s + (0.0 if trial.stage in _CACHED else point.warmup_s)
        if point.device_bytes > self._scene.budget_bytes:
            return Outcome(
                kind=OutcomeKind.DEVICE_MEMORY,
                message="it does not fit.",
                wall_s=self.now - started,
                thread_cap=1,
                predicted_device_bytes=point.device_bytes,
            )
        speed = point.speed * math.exp(self._rng.normal(0.0, KNOWN_SD["cpu"]))
        measured = self._measure(trial, point, speed, sampling, best)
        return Outcome(
            kind=OutcomeKind.COMPLETED,
            message="measured.",
            wall_s=self.now - started,
            thread_cap=1,
            measurement=measured,
            predicted_device_bytes=point.device_bytes,
        )

    def _look(self) -> float:
        """Return how fast a canary is now."""
        left = 1.0 - self._neighbour.takes(self.now)
        return left * math.exp(self._rng.normal(0.0, _CANARY_SD))

    def _measure(
        self, trial: Trial, point: ReplayPoint, speed: float, sampling: Sampling, best: MachineBest
    ) -> Measurement:
        update_steps = trial.config["num_envs"] * trial.config["num_steps"]
        taken_s = [0.0]
        looked_at = [self.now]
        looks = [self._look()]
        by_others: list[bool] = []
        are: list[bool] = []

        def run(num_updates: int) -> None:
            block_speed = speed * math.exp(self._rng.normal(0.0, _BLOCK_SD))
            left = num_updates * update_steps / block_speed
            while left > 0:
                takes = self._neighbour.takes(self.now)
                step_s = min(_STEP_S, left / (1.0 - takes))
                self.now += step_s
                left -= step_s * (1.0 - takes)
                taken_s[0] += step_s * takes

        def disturbed() -> list[bool]:
            share = taken_s[0] / (self.now - looked_at[0])
            taken_s[0], looked_at[0] = 0.0, self.now
            by_others.append(self._neighbour.is_seen and share > _SEEN_SHARE)
            looks.append(self._look())
            by_canary = slowed(looks, best.compute, SLOW_COMPUTE)
            are[:] = [a or b for a, b in zip(by_others, by_canary, strict=True)]
            return are

        began = self.now
        *_, estimate = throughput.measure(
            run,
            clock=lambda: self.now,
            env_steps_per_update=update_steps,
            update_s=update_steps / speed,
            sampling=sampling,
            num_updates=SOAK_UPDATES if trial.stage is Stage.SOAK else None,
            disturbed=disturbed,
        )
        figures = dataclasses.asdict(estimate) | {
            "env_steps_per_update": update_steps,
            "measure_s": self.now - began,
        }
        compute = level([look for look, was in zip(looks[1:], are, strict=True) if not was])
        if compute is not None:
            figures["machine_speed"] = MachineSpeed(compute=compute, memory=compute)
        return dataclasses.replace(measurement_of(point, speed), **figures)
