"""Costs of a suggestion as a study grows: seconds of the driver at 10, 100 and 1000 trials.

    python -m benchmarks.growth [--trials 10 100 1000]

The search, its Optuna study and its journal on disk are the real ones, over a space of thousands of
configurations. Trials are told and not run. "told" is the cost of writing an outcome.
"""

import argparse
import itertools
import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.recorded import ConfigValues
from benchmarks.replay import Replay, ReplayPoint, SimulatedMachine
from benchmarks.search_runs import our_search
from search_spaces.space import Axis, SearchSpace, doubling
from tune.search.constraints import Limits
from tune.search.policy import Search
from tune.search.study import Study
from tune.search.trial import Stage

_REPEATS = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000])
    arguments = parser.parse_args()
    scene = wide_replay()
    print(f"{len(scene.points)} configurations\n{'trials':>8}{'suggested, s':>14}{'told, s':>10}")
    for num_trials in arguments.trials:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            study = Study.create(
                Path(folder) / "journal.log",
                space=scene.space,
                limits=Limits(num_threads=None, device_bytes=scene.budget_bytes, host_bytes=None),
                identity={},
            )
            suggested_s, told_s = seconds(scene, study, num_trials)
        print(f"{num_trials:>8}{suggested_s:>14.3f}{told_s:>10.3f}", flush=True)


def wide_replay() -> Replay:
    """Return a space of a few thousand configurations with a smooth speed, under a tight budget."""
    values = {
        "num_envs": doubling(16, 65536),
        "num_steps": doubling(8, 512),
        "batch_size": doubling(256, 131072),
        "num_epochs": (1, 2, 4, 8),
    }
    axes = tuple(Axis(name=name, values=axis) for name, axis in values.items())
    space = SearchSpace(axes=axes)
    points: dict[ConfigValues, ReplayPoint] = {
        (envs, steps, batch, epochs): ReplayPoint(
            speed=1e6 * envs / (envs + 400.0) * math.exp(-0.05 * (math.log2(batch) - 12) ** 2),
            device_bytes=10_000_000 + 60 * envs * steps + 9_000 * batch,
            build_s=4.0,
            warmup_s=1.0,
            measure_s=3.0,
            num_blocks=6,
        )
        for envs, steps, batch, epochs in itertools.product(*values.values())
        if envs * steps % batch == 0
    }
    return Replay(
        name="wide",
        space=space,
        baseline={"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4},
        points=points,
        budget_bytes=2**30,
        deviations=(-0.02, 0.0, 0.02),
    )


def seconds(scene: Replay, study: Study, num_trials: int) -> tuple[float, float]:
    """Return the median seconds of a suggestion and of a told outcome, after `num_trials`."""
    machine = SimulatedMachine(scene, seed=0)
    configs = list(scene.points)
    order = np.random.default_rng(0).permutation(len(configs))[:num_trials]
    search = our_search(scene, 0, 10**6, clock=lambda: machine.now, study=study, patience=10**6)
    baseline = tuple(scene.baseline.values())
    _tell_all(search, study, machine, [baseline, *(configs[index] for index in order)])
    suggested_s: list[float] = []
    told_s: list[float] = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        trial = search.ask()
        suggested_s.append(time.perf_counter() - started)
        assert trial is not None
        assert trial.stage is Stage.SEARCH
        outcome = machine.run(tuple(trial.config.values()))
        started = time.perf_counter()
        search.tell(trial, outcome)
        told_s.append(time.perf_counter() - started)
    return statistics.median(suggested_s), statistics.median(told_s)


def _tell_all(
    search: Search, study: Study, machine: SimulatedMachine, configs: list[tuple[int, ...]]
) -> None:
    names = machine.replay.space.names
    for config in configs:
        trial = study.ask(Stage.SEARCH, dict(zip(names, config, strict=True)))
        search.tell(trial, machine.run(config))


if __name__ == "__main__":
    main()
