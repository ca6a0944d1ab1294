"""The claims of searches on machines with neighbours, against the truth that a simulation knows.

The machine is a recorded landscape with a clock of its own, and a neighbour that takes a share of
it at certain times. Trials sample it by the real rules, blocks, disturbances and all; searches run
the real policy, finals and soak included. Neighbours that the kernel counts are seen by a trial.
Others (a shared memory bus, a slow drift of the clock) slow its canary down, as much as they slow
the training: no rule was chosen on those.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import recorded
from benchmarks.markdown import row
from benchmarks.replay import Replay, ReplayPoint, measurement_of, replay
from benchmarks.search_runs import FOLDER, our_search
from search_spaces.config import config_key
from trainables import throughput
from trainables.machine_speed import SLOW_COMPUTE, MachineBest, MachineSpeed, level, slowed
from trainables.measurement import Measurement, Outcome, OutcomeKind
from trainables.sampling import Sampling
from tune.search.candidates import candidates_of
from tune.search.noise import KNOWN_DOF, KNOWN_SD, between_processes
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.speedup import pairs_of, speedup
from tune.search.trial import Stage, Trial

_MAX_TIME_S = 420.0
_SOAK_UPDATES = 40
_UPDATE_STEPS = 10_000
_SEEN_SHARE = 0.1
_STEP_S = 0.05
_DOFS = (1.0, KNOWN_DOF, 4.0, 8.0, 16.0)
_WANTED_COVERAGE = 0.95
_CANARY_SD = 0.005
"""Of a canary's products from look to look in quiet: benchmarks.unseen."""


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TruthRun:
    """One search against the truth.

    `covers`: the interval of its speed-up has the true one. `claims_false`: it says "faster" of
    what is not. `error` is that of the promise, as a share; `is_marked` if the promise is marked
    as disturbed. `num_alarms` of `num_trials` had a disturbed block, or a slower machine.
    `covers_with` says for each weight of what is known of a machine's noise whether the interval
    would have the true speed-up.
    """

    covers: bool
    claims_false: bool
    error: float
    is_marked: bool
    num_alarms: int
    num_trials: int
    wall_s: float
    covers_with: dict[float, bool]


class _NoisyMachine:
    """A machine that samples trials by the real rules, on a clock that it moves itself."""

    def __init__(self, scene: Replay, neighbour: Neighbour, seed: int) -> None:
        self.now = 0.0
        self._scene = scene
        self._neighbour = neighbour
        self._rng = np.random.default_rng((seed, 2))

    def run(self, trial: Trial, best: MachineBest) -> Outcome:
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
        measured = self._measure(point, speed, trial.stage, best)
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
        self, point: ReplayPoint, speed: float, stage: Stage, best: MachineBest
    ) -> Measurement:
        taken_s = [0.0]
        looked_at = [self.now]
        looks = [self._look()]
        by_others: list[bool] = []
        are: list[bool] = []

        def run(num_updates: int) -> None:
            left = num_updates * _UPDATE_STEPS / speed
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
            env_steps_per_update=_UPDATE_STEPS,
            update_s=_UPDATE_STEPS / speed,
            sampling=Sampling(),
            num_updates=_SOAK_UPDATES if stage is Stage.SOAK else None,
            disturbed=disturbed,
        )
        figures = dataclasses.asdict(estimate) | {
            "env_steps_per_update": _UPDATE_STEPS,
            "measure_s": self.now - began,
        }
        compute = level([look for look, was in zip(looks[1:], are, strict=True) if not was])
        if compute is not None:
            figures["machine_speed"] = MachineSpeed(compute=compute, memory=compute)
        return dataclasses.replace(measurement_of(point, speed), **figures)


_CACHED = frozenset({Stage.FINAL, Stage.SOAK})


def search(scene: Replay, neighbour: Neighbour, seed: int) -> TruthRun:
    """Run one search on a machine with this neighbour; compare what it says with the truth."""
    machine = _NoisyMachine(scene, neighbour, seed)
    policy = our_search(
        scene,
        seed,
        40,
        clock=lambda: machine.now,
        max_time_s=_MAX_TIME_S,
        soak_updates=_SOAK_UPDATES,
    )
    while (trial := policy.ask()) is not None:
        policy.tell(trial, machine.run(trial, policy.machine_best(1)))
    found = policy.result(partial=False)
    winner, baseline = found.chosen[Kind.FASTEST], found.baseline
    assert baseline is not None
    speed = {
        config_key(dict(zip(scene.space.names, config, strict=True))): point.speed
        for config, point in scene.points.items()
    }
    true_speed = speed[config_key(winner.config)]
    true_gain = true_speed / speed[config_key(baseline.config)]
    gain = speedup(winner, baseline)
    is_baseline = config_key(winner.config) == config_key(baseline.config)
    is_marked = winner.disturbed or baseline.disturbed
    says_faster = not (is_baseline or is_marked or gain.is_noise)
    measured = [trial for trial in found.trials if trial.measurement is not None]
    return TruthRun(
        covers=is_baseline or is_marked or gain.low <= true_gain <= gain.high,
        claims_false=says_faster and true_gain <= 1.0,
        error=winner.promised / true_speed - 1.0,
        is_marked=is_marked,
        num_alarms=sum(map(_has_alarm, measured)),
        num_trials=len(measured),
        wall_s=machine.now,
        covers_with={
            dof: is_baseline or is_marked or _covers(found, winner, baseline, true_gain, dof)
            for dof in _DOFS
        },
    )


def _has_alarm(trial: Trial) -> bool:
    assert trial.measurement is not None
    return trial.machine_share is not None or trial.measurement.num_disturbed_blocks > 0


def _covers(
    found: SearchResult, winner: Candidate, baseline: Candidate, true_gain: float, dof: float
) -> bool:
    """Return whether the interval has the true gain, if what is known weighs like `dof`."""
    rows = [one.rounds for one in candidates_of(found.trials) if one.rounds]
    noise = between_processes(rows, known_sd=KNOWN_SD["cpu"], known_dof=dof)
    num_pairs = max(1, len(pairs_of(winner, baseline)))
    distance = math.log(speedup(winner, baseline).ratio / true_gain)
    return abs(distance) <= noise.half_width(num_pairs, num_means=2)


def searches(scene: Replay, neighbour: Neighbour, num_searches: int) -> list[TruthRun]:
    """Run searches that differ by their noise."""
    return [search(scene, neighbour, seed) for seed in range(num_searches)]


def show(landscape: str, num_searches: int) -> None:
    """Print the table."""
    scene = replay(landscape, recorded.read(FOLDER / f"{landscape}.json"))
    names = ("neighbour", "covered", "false claims", "error, median", "95 %", "marked", "alarms")
    print(row((*names, "s")))
    print(row(("---", *["---:"] * len(names))))
    for name, neighbour in NEIGHBOURS.items():
        print(_row(name, searches(scene, neighbour, num_searches)), flush=True)


def show_cross_validation(landscape: str, num_searches: int) -> None:
    """Print what the rule's weight would be without each neighbour, and how it does on that one."""
    scene = replay(landscape, recorded.read(FOLDER / f"{landscape}.json"))
    seen = {name: one for name, one in NEIGHBOURS.items() if one.is_seen}
    runs = {name: searches(scene, one, num_searches) for name, one in seen.items()}
    print(row(("held out", "weight chosen on the others", "covered there", "covered, held out")))
    print(row(("---", "---:", "---:", "---:")))
    for name, held_out in runs.items():
        others = [run for other, ran in runs.items() if other != name for run in ran]
        dof = chosen_weight(others)
        cells = (f"{_coverage(others, dof):.0%}", f"{_coverage(held_out, dof):.0%}")
        print(row((name, f"{dof:g}", *cells)), flush=True)


def chosen_weight(runs: Sequence[TruthRun]) -> float:
    """Return the largest weight, which makes the narrowest intervals, that covers enough."""
    enough = [dof for dof in _DOFS if _coverage(runs, dof) >= _WANTED_COVERAGE]
    return max(enough, default=min(_DOFS))


def _coverage(runs: Sequence[TruthRun], dof: float) -> float:
    return statistics.fmean(run.covers_with[dof] for run in runs)


def _row(name: str, runs: Sequence[TruthRun]) -> str:
    errors = sorted(abs(run.error) for run in runs if not run.is_marked) or [math.nan]
    alarms = sum(run.num_alarms for run in runs) / sum(run.num_trials for run in runs)
    return row(
        (
            name,
            f"{statistics.fmean(run.covers for run in runs):.0%}",
            f"{sum(run.claims_false for run in runs)} of {len(runs)}",
            f"{statistics.median(errors):.1%}",
            f"{errors[math.ceil(0.95 * len(errors)) - 1]:.1%}",
            f"{statistics.fmean(run.is_marked for run in runs):.0%}",
            f"{alarms:.0%}",
            f"{statistics.median(run.wall_s for run in runs):.0f}",
        )
    )
