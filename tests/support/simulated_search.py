"""A search over a surface that is known, on a machine with little memory and a clock of its own."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from factories import measurement, outcome
from search_spaces.config import ConfigKey
from search_spaces.shard import Shard
from search_spaces.space import Axis, SearchSpace, doubling
from trainables.measurement import Outcome, OutcomeKind
from tune.search.constraints import Limits
from tune.search.finals import FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.policy import Search
from tune.search.problem import SearchProblem
from tune.search.rules import SearchRules
from tune.search.stopping import Stopping
from tune.search.study import Study, explored_in
from tune.search.trial import Trial

SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(64, 4096)),
        Axis(name="num_steps", values=doubling(32, 128)),
        Axis(name="batch_size", values=doubling(512, 16384)),
    )
)
BASELINE = {"num_envs": 256, "num_steps": 128, "batch_size": 8192}
BUDGET = 2**28
SHORT_FINALS = FinalsPlan(num_finalists=2, num_rounds=1, soak_updates=5)
Machine = Callable[[Trial], Outcome]


def need_bytes(config: dict[str, int]) -> int:
    samples = config["num_envs"] * config["num_steps"]
    return 20_000_000 + 400 * samples + 9_000 * config["batch_size"]


def speed(config: dict[str, int]) -> float:
    return 1e5 * config["num_envs"] / (config["num_envs"] + 400.0)


def machine(trial: Trial) -> Outcome:
    """A card with little memory: the program is compiled, judged, and run if it fits."""
    need = need_bytes(trial.config)
    if need > BUDGET:
        return outcome(
            kind=OutcomeKind.DEVICE_MEMORY, measurement=None, predicted_device_bytes=need
        )
    rate = speed(trial.config)
    return outcome(
        wall_s=10.0,
        predicted_device_bytes=need,
        measurement=measurement(
            steps_per_second=rate, low=0.99 * rate, high=1.01 * rate, peak_device_bytes=None
        ),
    )


@dataclasses.dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make(
    path: Path,
    *,
    resume: bool = False,
    clock: Clock | None = None,
    plan: FinalsPlan = SHORT_FINALS,
    space: SearchSpace = SPACE,
    compiled: Mapping[ConfigKey, int] | None = None,
    elapsed_s: float = 0.0,
    shard: Shard | None = None,
    known: Sequence[Path] = (),
    warm_start: tuple[dict[str, int], ...] = (),
    objective: Objective = Objective.THROUGHPUT,
    learning: LearningPlan | None = None,
    num_gpus: int = 1,
    **stopping: object,
) -> Search:
    options = {"max_runs": 14, "max_time_s": None, "patience": 50, "min_gain": 0.02} | stopping
    open_study = Study.resume if resume else Study.create
    limits = Limits(num_threads=None, device_bytes=BUDGET, host_bytes=None)
    study = open_study(path / "journal.log", space=space, limits=limits, identity={})
    for journal in known:
        study.adopt(journal, explored_in(journal, identity={}))
    problem = SearchProblem(
        space=space,
        baseline=BASELINE,
        device_budget_bytes=BUDGET,
        compiled_ahead=compiled or {},
        warm_start=warm_start,
        shard=shard,
    )
    rules = SearchRules(
        objective=objective,
        stopping=Stopping(**options),  # type: ignore[arg-type]
        finals=plan,
        seed=0,
        learning=learning,
        num_gpus=num_gpus,
    )
    return Search(study, problem, rules, clock=clock or Clock(), elapsed_s=elapsed_s)


def drive(search: Search, machine: Machine = machine, *, at_most: int = 200) -> list[Trial]:
    """Run trials one at a time until the search is over."""
    ran: list[Trial] = []
    while len(ran) < at_most and (trial := search.ask()) is not None:
        ran.append(search.tell(trial, machine(trial)))
    return ran
