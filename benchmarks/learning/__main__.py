"""The search for what learns fastest, beside others, on recorded learning landscapes.

    python -m benchmarks.learning [--seeds 30] [--names cartpole trend] [--gpus 4]
    python -m benchmarks.learning --names cartpole --targets 200 300 475

Nothing is trained: recorded curves answer, at recorded speeds, on a simulated clock. Ours is the
search of `--objective learning` with the target of the landscape. `fastest` and `balanced` are what
a search of speed picks. ASHA is Ray Tune's, over the same grid, with the seconds that ours took.
"""

import dataclasses
import heapq
import itertools
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import tyro
from ray.tune.schedulers import AsyncHyperBandScheduler

from benchmarks import markdown
from benchmarks.learning.landscape import LearningLandscape, SimulatedTrainings, read
from benchmarks.learning.record import LANDSCAPES, RECORDINGS
from search_spaces.config import Config, config_cell, config_key, num_samples
from trainables.measurement import Outcome
from tune.search.constraints import Limits
from tune.search.finals import FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.policy import Search
from tune.search.problem import SearchProblem
from tune.search.result import Kind
from tune.search.rules import SearchRules
from tune.search.stopping import Stopping
from tune.search.study import Study
from tune.search.trial import Stage, Trial
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LearningRun:
    """One search: what it picked, and its simulated seconds, in all and without trainings.

    On several GPUs they are seconds of the clock, of which trainings take their share.
    """

    picked: Config | None
    seconds: float
    of_speed_s: float


def run_ours(
    landscape: LearningLandscape,
    seed: int,
    objective: Objective,
    *,
    max_runs: int = SearchSpec.NORMAL.max_runs,
    learn_seeds: int = LearningPlan().num_seeds,
    num_gpus: int = 1,
) -> LearningRun:
    """Run the real policy with the defaults of its command line, on GPUs that disturb nothing."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    machine = SimulatedTrainings(landscape, seed)
    plan = LearningPlan(target=landscape.target, num_seeds=learn_seeds)
    learning = plan if objective is Objective.LEARNING else None
    search = _search(landscape, seed, objective, machine, max_runs, learning, num_gpus)
    trained_s = 0.0
    running: list[tuple[float, int, Trial, Outcome]] = []
    while True:
        while len(running) < num_gpus and (trial := search.ask()) is not None:
            started, training = machine.now, search.training_of(trial)
            if training is None:
                outcome = machine.measure(trial.config, is_final=trial.stage is Stage.FINAL)
            else:
                outcome = machine.train(trial.config, *training)
                trained_s += outcome.wall_s / num_gpus
            heapq.heappush(running, (machine.now, trial.number, trial, outcome))
            machine.now = started
        if not running:
            break
        machine.now, _, trial, outcome = heapq.heappop(running)
        search.tell(trial, outcome)
    kinds = {
        Objective.THROUGHPUT: Kind.FASTEST,
        Objective.BALANCED: Kind.BALANCED,
        Objective.LEARNING: Kind.LEARNING,
    }
    chosen = search.result(partial=False).chosen.get(kinds[objective])
    return LearningRun(
        picked=None if chosen is None else chosen.config,
        seconds=machine.now,
        of_speed_s=machine.now - trained_s,
    )


def run_asha(landscape: LearningLandscape, seed: int, budget_s: float) -> LearningRun:
    """Train configurations in random order under Ray Tune's ASHA until the seconds are spent.

    It sees returns by seconds of training, up to those that the slowest recorded training took. It
    picks what reached the target first, else what came nearest.
    """
    machine, rng = SimulatedTrainings(landscape, seed), np.random.default_rng((seed, 3))
    longest_s = _longest_s(landscape)
    scheduler = AsyncHyperBandScheduler(
        time_attr="seconds",
        metric="value",
        mode="max",
        max_t=longest_s,
        grace_period=longest_s / 27,
    )
    spent_s = 0.0
    best: tuple[float, float, Config | None] = (-math.inf, -math.inf, None)
    for number, config in enumerate(_shuffled(landscape, rng)):
        spent_s += machine.start_s(config)
        trial = _Trial(f"{number}")
        scheduler.on_trial_add(None, trial)
        recorded = machine.training(config, number // len(landscape.configs))
        speed = landscape.configs[tuple(sorted(config.items()))].steps_per_second
        curve, started_s = recorded.curve(speed), spent_s
        for seconds, value in zip(curve.seconds, curve.returns, strict=True):
            spent_s = started_s + seconds
            reached = value >= landscape.target
            rank = (1.0, -seconds) if reached else (0.0, value)
            best = max(best, (*rank, config), key=lambda one: one[:2])
            decision = scheduler.on_trial_result(
                None, trial, {"seconds": seconds, "value": value, "training_iteration": 1}
            )
            if reached or decision != scheduler.CONTINUE or spent_s >= budget_s:
                break
        if spent_s >= budget_s:
            break
    return LearningRun(picked=best[2], seconds=spent_s, of_speed_s=0.0)


class _Trial:
    """All that ASHA asks of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
        self.last_result: dict[str, float] = {}
        self.stub = False


def _shuffled(landscape: LearningLandscape, rng: np.random.Generator) -> Iterator[Config]:
    configs = [one.config for one in landscape.configs.values()]
    return itertools.chain.from_iterable(
        ([configs[place] for place in rng.permutation(len(configs))]) for _ in itertools.count()
    )


def _longest_s(landscape: LearningLandscape) -> float:
    return max(
        training.env_steps[-1] / one.steps_per_second
        for one in landscape.configs.values()
        for training in one.trainings
    )


def _search(
    landscape: LearningLandscape,
    seed: int,
    objective: Objective,
    machine: SimulatedTrainings,
    max_runs: int,
    learning: LearningPlan | None,
    num_gpus: int,
) -> Search:
    limits = Limits(num_threads=None, device_bytes=None, host_bytes=None)
    study = Study.in_memory(space=landscape.space, limits=limits)
    problem = SearchProblem(
        space=landscape.space, baseline=landscape.baseline, device_budget_bytes=None
    )
    rules = SearchRules(
        objective=objective,
        stopping=Stopping(
            max_runs=max_runs,
            max_time_s=None,
            patience=SearchSpec.NORMAL.patience,
            min_gain=SearchSpec.min_gain,
            num_parallel=num_gpus,
        ),
        finals=FinalsPlan(soak_updates=0, order="together"),
        seed=seed,
        learning=learning,
    )
    return Search(study, problem, rules, clock=lambda: machine.now)


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
    main(tyro.cli(LearningBenchmark))
