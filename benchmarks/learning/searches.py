"""Searches of learning landscapes: ours, by the real policy, and Ray Tune's ASHA."""

import dataclasses
import heapq
import itertools
import math
from collections.abc import Iterator

import numpy as np
import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler

from benchmarks.learning.landscape import LearningLandscape, SimulatedTrainings
from search_spaces.config import Config
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
                outcome = machine.train(trial.config, training)
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
