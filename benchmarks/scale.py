"""One driver for many GPUs: how long slots wait for suggestions, simulated.

    python -m benchmarks.scale [--hosts 64] [--gpus 8] [--trials 10000]

Trials sleep on a clock of their own, 10 s each. The search, its Optuna study and its journal on
disk are the real ones, and the real seconds of the one driver are charged to that clock: while it
thinks, whatever ended waits. So are those of the screen: a line as each trial starts and ends, and
the live table once a second. Ray's own scheduling is left out.
"""

import dataclasses
import heapq
import math
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import tyro

from benchmarks import markdown
from benchmarks.one_driver import Driver, ShownSearch
from benchmarks.replay import ReplayPoint, measurement_of
from cluster import cli
from search_spaces.config import Config
from search_spaces.space import Axis, SearchSpace, doubling
from trainables.measurement import Outcome, OutcomeKind
from tune.search.constraints import Limits
from tune.search.finals import FinalsPlan
from tune.search.objective import Objective
from tune.search.policy import Search
from tune.search.problem import SearchProblem
from tune.search.rules import SearchRules
from tune.search.stopping import Stopping
from tune.search.study import Study
from tune.search.trial import Trial

_SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(16, 131072)),
        Axis(name="num_steps", values=doubling(8, 1024)),
        Axis(name="batch_size", values=doubling(256, 131072)),
        Axis(name="num_epochs", values=tuple(range(1, 17))),
    )
)
_BASELINE: Config = {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
_BUDGET_BYTES = 2**33
_HOST_BYTES = 2**31
_TRIAL_S = 10.0
_SPREAD = 0.1
"""Trials take 10 s, give or take so much of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleBenchmark:
    """Simulate a search over many GPUs and print a row of a table for each number of hosts."""

    hosts: tuple[int, ...] = (64,)
    """Numbers of hosts, a row for each."""
    gpus: int = 8
    """GPUs of a host; each runs one trial at a time."""
    trials: int = 10_000
    """Trials to run, those that are refused not counted."""
    cpu: bool = False
    """Charge the CPU time of the driver alone, without waits: for a machine that others use."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRun:
    """One simulated search.

    `suggestion_s` has the real seconds of the driver for each trial: to tell an outcome, to suggest
    the next and to bound it. `idle_s` and `busy_s` are summed over slots. `took_s` is the simulated
    time, `driver_s` the driver's share of it, `driver_cpu_s` its CPU time. `peak_bytes` is the
    process's at half of the trials and at the end.
    """

    configs: tuple[Config, ...]
    suggestion_s: tuple[float, ...]
    idle_s: float
    busy_s: float
    took_s: float
    driver_s: float
    driver_cpu_s: float
    peak_bytes: tuple[int, int]

    @property
    def idle_share(self) -> float:
        """The share of slot time that was spent on waiting for suggestions."""
        return self.idle_s / (self.idle_s + self.busy_s)


def run(
    folder: Path,
    *,
    num_slots: int,
    num_trials: int,
    space: SearchSpace = _SPACE,
    only_cpu: bool = False,
) -> ScaleRun:
    """Run one search over so many slots, with its journal in a folder."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    driver = Driver(only_cpu=only_cpu)
    search = _search(folder, driver, space, num_slots, num_trials)
    with (folder / "screen.txt").open("w") as file:
        view = ShownSearch(search, driver, file)
        with view.screen.live(search):
            return _run(search, driver, view, num_slots, num_trials)


def _run(
    search: Search, driver: Driver, view: ShownSearch, num_slots: int, num_trials: int
) -> ScaleRun:
    rng = np.random.default_rng(0)
    free = [(0.0, slot) for slot in range(num_slots)]  # since when, as a heap
    running: list[tuple[float, int, Trial]] = []  # by their ends, as a heap
    configs: list[Config] = []
    suggestion_s: list[float] = []
    idle_s = busy_s = told_s = 0.0
    half = 0
    while True:
        before_s = driver.busy_s
        driver.do(view.draw)
        trial = driver.do(lambda: _next(search, view)) if free else None
        if trial is not None:
            since, slot = heapq.heappop(free)
            idle_s += driver.now - since
            took_s = _TRIAL_S * rng.uniform(1.0 - _SPREAD, 1.0 + _SPREAD)
            busy_s += took_s
            heapq.heappush(running, (driver.now + took_s, slot, trial))
            configs.append(trial.config)
            suggestion_s.append(told_s + driver.busy_s - before_s)
            told_s = 0.0
            half = half or (_peak_bytes() if len(configs) >= num_trials // 2 else 0)
            continue
        if not running:
            break
        ends, slot, ended = heapq.heappop(running)
        driver.now = max(driver.now, ends)
        outcome = _outcome(ended.config, rng)
        told_s = -driver.busy_s
        driver.do(lambda: _tell(search, view, ended, outcome))  # noqa: B023
        told_s += driver.busy_s
        heapq.heappush(free, (ends, slot))
    return ScaleRun(
        configs=tuple(configs),
        suggestion_s=tuple(suggestion_s),
        idle_s=idle_s,
        busy_s=busy_s,
        took_s=driver.now,
        driver_s=driver.busy_s,
        driver_cpu_s=driver.cpu_s,
        peak_bytes=(half, _peak_bytes()),
    )


def _next(search: Search, view: ShownSearch) -> Trial | None:
    """Ask for a trial and its bounds, as an order does."""
    trial = search.ask()
    if trial is not None:
        search.time_for(trial)
        search.slow_below(trial)
        search.machine_best(thread_cap=1)
        view.screen.trial_started(trial)
    return trial


def _tell(search: Search, view: ShownSearch, trial: Trial, outcome: Outcome) -> None:
    """Tell an outcome, and look for slow GPUs as the driver does then."""
    view.screen.trial_ended(search.tell(trial, outcome))
    search.slow_gpus()


def _search(
    folder: Path, clock: Callable[[], float], space: SearchSpace, num_slots: int, num_trials: int
) -> Search:
    limits = Limits(num_threads=None, device_bytes=_BUDGET_BYTES, host_bytes=None)
    study = Study.create(folder / "journal.log", space=space, limits=limits, identity={})
    problem = SearchProblem(
        space=space,
        baseline=_BASELINE,
        device_budget_bytes=_BUDGET_BYTES,
        host_budget_bytes=64 * _HOST_BYTES,
        on_gpu=True,
    )
    rules = SearchRules(
        objective=Objective.THROUGHPUT,
        stopping=Stopping(
            max_runs=num_trials,
            max_time_s=None,
            patience=num_trials,
            min_gain=0.02,
            num_parallel=num_slots,
        ),
        finals=FinalsPlan(num_finalists=0, num_rounds=0, soak_updates=0),
        seed=0,
    )
    return Search(study, problem, rules, clock=clock)


def _outcome(config: Config, rng: np.random.Generator) -> Outcome:
    """Return what a trial told: a smooth speed with noise, or that it did not fit."""
    num_envs, samples = config["num_envs"], config["num_envs"] * config["num_steps"]
    need = 10_000_000 + 60 * samples + 9_000 * config["batch_size"]
    if need > _BUDGET_BYTES:
        return Outcome(
            kind=OutcomeKind.DEVICE_MEMORY,
            message="it does not fit.",
            wall_s=_TRIAL_S,
            thread_cap=1,
            peak_host_bytes=_HOST_BYTES,
            predicted_device_bytes=need,
        )
    batches = math.exp(-0.05 * (math.log2(config["batch_size"]) - 12.0) ** 2)
    speed = 1e6 * num_envs / (num_envs + 400.0) * batches / config["num_epochs"] ** 0.5
    speed *= math.exp(rng.normal(0.0, 0.02))
    point = ReplayPoint(
        speed=speed, device_bytes=need, build_s=3.0, warmup_s=1.0, measure_s=6.0, num_blocks=6
    )
    return Outcome(
        kind=OutcomeKind.COMPLETED,
        message="measured.",
        wall_s=_TRIAL_S,
        thread_cap=1,
        peak_host_bytes=_HOST_BYTES,
        measurement=measurement_of(point, speed),
        predicted_device_bytes=need,
    )


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


HEADER = """\
| hosts | GPUs | trials | trials/s | idle | ms a trial, median | 99 % | driver busy | its CPU | \
MiB at half | at the end |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def row(num_hosts: int, num_slots: int, ran: ScaleRun) -> str:
    """Return one search's row."""
    ordered = sorted(ran.suggestion_s)
    return markdown.row(
        [
            str(num_hosts),
            str(num_slots),
            str(len(ran.configs)),
            f"{len(ran.configs) * num_slots / (ran.idle_s + ran.busy_s):.1f}",
            f"{ran.idle_share:.1%}",
            f"{1e3 * statistics.median(ordered):.1f}",
            f"{1e3 * ordered[int(0.99 * (len(ordered) - 1))]:.0f}",
            f"{ran.driver_s / ran.took_s:.0%}",
            f"{ran.driver_cpu_s / ran.took_s:.0%}",
            *(f"{peak / 2**20:.0f}" for peak in ran.peak_bytes),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    return cli.run(lambda: _print_table(arguments))


def _print_table(arguments: Sequence[str] | None) -> int:
    options = tyro.cli(
        ScaleBenchmark, args=arguments, prog="python -m benchmarks.scale", description=__doc__
    )
    print(f"{len(list(_SPACE.configurations()))} configurations\n\n{HEADER}", flush=True)
    for num_hosts in options.hosts:
        num_slots = num_hosts * options.gpus
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            path, total = Path(folder), options.trials
            ran = run(path, num_slots=num_slots, num_trials=total, only_cpu=options.cpu)
        print(row(num_hosts, num_slots, ran), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
