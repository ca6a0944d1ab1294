"""The search for what learns fastest, beside others, on recorded learning landscapes.

    python -m benchmarks.learning [--seeds 30] [--names cartpole trend] [--gpus 4]
    python -m benchmarks.learning --names cartpole --targets 200 300 440

Nothing is trained: recorded curves answer, at recorded speeds, on a simulated clock. Ours is the
search of `--objective learning` with the target of the landscape. `fastest` and `balanced` are what
a search of speed picks. ASHA is Ray Tune's, over the same grid, with the seconds that ours took.
"""

import dataclasses
import itertools
import math
import statistics
from pathlib import Path

import tyro

from benchmarks import markdown
from benchmarks.learning.landscape import LearningLandscape, read
from benchmarks.learning.record import LANDSCAPES, RECORDINGS
from benchmarks.learning.searches import LearningRun, run_asha, run_ours
from search_spaces.config import config_cell, config_key, num_samples
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.spec import SearchSpec

_GOOD = 1.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningBenchmark:
    """Replay searches on recorded learning landscapes and print a table."""

    names: tuple[str, ...] = ("cartpole", "breakout", "trend")
    """Landscapes in --folder."""
    targets: tuple[float, ...] = ()
    """Returns to be learned in place of each landscape's own."""
    seeds: int = 30
    """Searches per row."""
    max_runs: int = SearchSpec.NORMAL.max_runs
    """Configurations that ours explores at most."""
    learn_seeds: int = LearningPlan().num_seeds
    """Rounds of trainings of ours."""
    gpus: int = 1
    """GPUs of the machine, on which ours runs side by side, trainings too."""
    folder: Path = LANDSCAPES
    configs: bool = False
    """Print what each configuration needs, and search nothing."""


def main(benchmark: LearningBenchmark) -> None:
    """Print a table per landscape."""
    for name, target in itertools.product(benchmark.names, benchmark.targets or (None,)):
        if target is not None and target > RECORDINGS[name]["stop_at"]:
            raise SystemExit(f"{name} was recorded to {RECORDINGS[name]['stop_at']:g} alone.")
        landscape = read(benchmark.folder / f"{name}.json", target)
        if benchmark.configs:
            print(_truth(landscape), flush=True)
            continue
        rows: dict[str, list[LearningRun]] = {"ours": [], "fastest": [], "balanced": [], "ASHA": []}
        for seed in range(benchmark.seeds):
            most, seeds = benchmark.max_runs, benchmark.learn_seeds
            ours = run_ours(
                landscape,
                seed,
                Objective.LEARNING,
                max_runs=most,
                learn_seeds=seeds,
                num_gpus=benchmark.gpus,
            )
            rows["ours"].append(ours)
            rows["fastest"].append(run_ours(landscape, seed, Objective.THROUGHPUT, max_runs=most))
            rows["balanced"].append(run_ours(landscape, seed, Objective.BALANCED, max_runs=most))
            rows["ASHA"].append(run_asha(landscape, seed, benchmark.gpus * ours.seconds))
        print(_table(landscape, rows), flush=True)


def _table(landscape: LearningLandscape, rows: dict[str, list[LearningRun]]) -> str:
    lines = [
        f"\n{landscape.name}: {len(landscape.configs)} configurations; the best reaches "
        f"{landscape.target:g} in {landscape.best_s:.2f} s.\n",
        markdown.row(["search", f"within {_GOOD:g} x", "times as long", "seconds", "of speed"]),
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in rows.items():
        times = sorted(landscape.times_as_long(run.picked) for run in runs)
        good = sum(one <= _GOOD for one in times)
        worst = times[math.ceil(0.9 * len(times)) - 1]
        cells = [
            name,
            f"{good} of {len(runs)}",
            f"{_text(statistics.median(times))} ({_text(worst)})",
            f"{statistics.median(run.seconds for run in runs):.0f}",
            f"{statistics.median(run.of_speed_s for run in runs):.0f}",
        ]
        lines.append(markdown.row(cells))
    pairs = [
        tuple(landscape.times_as_long(run.picked) for run in pair)
        for pair in zip(rows["ours"], rows["ASHA"], strict=True)
    ]
    sooner, later = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    lines.append(f"\nours picks what learns sooner than ASHA's pick in {sooner}, later in {later}")
    return "\n".join(lines)


def _truth(landscape: LearningLandscape) -> str:
    """Return a row per configuration, the soonest at the target first."""
    columns = ["envs x steps / batch", "samples of an update", "env steps needed", "env steps/s"]
    lines = [
        f"\n{landscape.name}, to {landscape.target:g}\n",
        markdown.row([*columns, "seconds", "of each seed"]),
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    by_seconds = sorted(landscape.configs, key=lambda key: landscape.true_s.get(key, math.inf))
    for one in map(landscape.configs.__getitem__, by_seconds):
        seconds = landscape.true_s.get(config_key(one.config), math.inf)
        each = sorted(one.each_to(landscape.target))
        steps = seconds * one.steps_per_second
        cells = [
            config_cell(one.config),
            f"{num_samples(one.config):,}",
            "-" if steps == math.inf else f"{steps:,.0f}",
            f"{one.steps_per_second:,.0f}",
            _text(seconds),
            ", ".join(map(_text, each)),
        ]
        lines.append(markdown.row(cells))
    told = "{:.2f} by its seconds to the target, {:.2f} by those on the way"
    lines.append(f"\nwhat a seed tells (r): {told.format(*landscape.told_by_a_seed())}")
    return "\n".join(lines)


def _text(value: float) -> str:
    return "never" if value == math.inf else f"{value:.2f}"


if __name__ == "__main__":
    main(tyro.cli(LearningBenchmark, prog="python -m benchmarks.learning"))
