"""Searches replayed on recorded landscapes, ours and its peers': what each ran, found and cost."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna

from benchmarks.peers.named import quiet
from benchmarks.peers.peer import Peer, PeerGrid, PeerResult
from benchmarks.recorded import ConfigValues
from benchmarks.replay import Replay, SimulatedMachine
from search_spaces.config import ConfigKey, config_key
from tune.memory import capacity
from tune.search.constraints import Limits
from tune.search.finals import FinalsPlan
from tune.search.objective import Objective
from tune.search.policy import Search
from tune.search.problem import SearchProblem
from tune.search.result import Kind
from tune.search.rules import SearchRules
from tune.search.stopping import Stopping
from tune.search.study import Study
from tune.search.trial import Stage, Trial
from tune.spec import SearchSpec

FOLDER = Path(__file__).parent / "landscapes"
"""Landscapes that were measured, and models of GPUs: model-*.json."""
_UNOPTIMISED = 0.7  # of a trial's compilation, where only the bytes count: benchmarks/look_ahead.py
MAX_FREE = 1000
"""Refusals that cost nothing; a peer that asks on and on gets no further."""


def measured() -> list[Path]:
    """Return the landscapes that were measured."""
    return [path for path in sorted(FOLDER.glob("*.json")) if not path.name.startswith("model-")]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchRun:
    """One search on one landscape.

    `shares` are the true speeds of its trials as shares of the best, 0 where one did not fit.
    `ended_s` are the ends of the trials on the simulated clock. `picked` is the share of its final
    choice, 0 if it chose nothing. `thought_s` is the real seconds that its suggestions took.
    `finals_s` are the simulated seconds of each of its finals.
    """

    shares: tuple[float, ...]
    ended_s: tuple[float, ...]
    picked: float
    thought_s: float
    finals_s: tuple[float, ...] = ()

    def trials_to(self, share: float) -> float:
        """Return the trials until one truly reached `share` of the best; infinite if none did."""
        return next((n for n, got in enumerate(self.shares, start=1) if got >= share), math.inf)

    def seconds_to(self, share: float) -> float:
        """Return the simulated seconds until then."""
        number = self.trials_to(share)
        return math.inf if number == math.inf else self.ended_s[int(number) - 1]

    def lost_s(self, training_s: float) -> float:
        """Return the seconds of the search, plus those that training takes longer with its choice.

        `training_s` is the seconds of training with the best configuration.
        """
        slower = math.inf if self.picked == 0.0 else training_s * (1.0 / self.picked - 1.0)
        return self.ended_s[-1] + slower

    @property
    def num_infeasible(self) -> int:
        """Trials that were run and did not fit."""
        return self.shares.count(0.0)


def run_ours(
    replay: Replay,
    seed: int,
    max_trials: int,
    *,
    num_hosts: int = 1,
    num_ahead: int | None = None,
    **changes: Any,
) -> SearchRun:
    """Run the real policy with the defaults of its command line, but for the number of trials.

    `num_ahead` programs are compiled before the first trial, at most: `None` for as many as the
    command does, except on a cluster. `changes` are other arguments of `our_search`.
    """
    machine = SimulatedMachine(replay, seed, num_hosts=num_hosts)
    compiled, machine.now = look_ahead(replay, num_ahead)
    search = our_search(
        replay,
        seed,
        max_trials,
        clock=lambda: machine.now,
        num_parallel=num_hosts,
        compiled=compiled,
        **changes,
    )
    running: dict[int, Trial] = {}
    thought_s = 0.0
    while True:
        started = time.perf_counter()
        trial = search.ask() if machine.has_room else None
        thought_s += time.perf_counter() - started
        if trial is not None:
            slow_below = search.slow_below(trial)
            running[machine.start(tuple(trial.config.values()), slow_below=slow_below)] = trial
        elif machine.is_idle:
            break
        else:
            number, outcome = machine.wait()
            search.tell(running.pop(number), outcome)
    chosen = search.result(partial=False).chosen.get(Kind.FASTEST)
    picked = tuple(chosen.config.values()) if chosen is not None else None
    finals = [t.outcome for t in search.trials if t.stage is Stage.FINAL]
    finals_s = tuple(outcome.wall_s for outcome in finals if outcome is not None)
    return dataclasses.replace(_run(machine, picked, thought_s), finals_s=finals_s)


def look_ahead(replay: Replay, most: int | None = None) -> tuple[dict[ConfigKey, int], float]:
    """Return the bytes that `tune.memory.look_ahead` compiles first, and the seconds it takes."""
    configs = capacity.of_sizes(replay.space)
    compiled: dict[ConfigKey, int] = {}
    took_s = 0.0
    by_command = capacity.compiled_first(configs, on_gpu=replay.on_gpu)
    for config in by_command if most is None else capacity.corners(configs)[:most]:
        point = replay.points[tuple(config.values())]
        startup_s = 0.0 if compiled else point.build_s - replay.program_s
        took_s += startup_s + _UNOPTIMISED * replay.program_s
        compiled[config_key(config)] = point.device_bytes
        found = capacity.assess(configs, compiled, replay.budget_bytes, on_gpu=replay.on_gpu)
        if found.everything_fits:
            break
    return compiled, took_s


def our_search(
    replay: Replay,
    seed: int,
    max_trials: int,
    *,
    clock: Callable[[], float],
    study: Study | None = None,
    patience: int = SearchSpec.NORMAL.patience,
    num_finalists: int = SearchSpec.NORMAL.finalists,
    num_rounds: int = SearchSpec.NORMAL.final_rounds,
    num_parallel: int = 1,
    compiled: Mapping[ConfigKey, int] | None = None,
    warm_start: tuple[dict[str, int], ...] = (),
    max_time_s: float | None = None,
    soak_updates: int = 0,
    side_by_side: bool = False,
) -> Search:
    """Make the search with the defaults of its command line; the study is in memory by default."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if study is None:
        limits = Limits(num_threads=None, device_bytes=replay.budget_bytes, host_bytes=None)
        study = Study.in_memory(space=replay.space, limits=limits)
    problem = SearchProblem(
        space=replay.space,
        baseline=replay.baseline,
        device_budget_bytes=replay.budget_bytes,
        compiled_ahead=compiled or {},
        on_gpu=replay.on_gpu,
        warm_start=warm_start,
    )
    rules = SearchRules(
        objective=Objective.THROUGHPUT,
        stopping=Stopping(
            max_runs=max_trials,
            max_time_s=max_time_s,
            patience=patience,
            min_gain=SearchSpec.min_gain,
            num_parallel=num_parallel,
        ),
        finals=FinalsPlan(
            num_finalists=num_finalists,
            num_rounds=num_rounds,
            soak_updates=soak_updates,
            order="together" if side_by_side else "alone",
        ),
        seed=seed,
    )
    return Search(study, problem, rules, clock=clock, elapsed_s=clock())


@quiet()
def run_peer(
    make: Callable[[PeerGrid, int], Peer], replay: Replay, seed: int, max_trials: int
) -> SearchRun:
    """Run a peer until its trials are used up or it asks no more; it picks the fastest it saw."""
    machine, grid = SimulatedMachine(replay, seed), PeerGrid.of(replay)
    peer = make(grid, seed)
    best: tuple[float, ConfigValues | None] = (0.0, None)
    thought_s, num_free = 0.0, 0
    while len(machine.ran) < max_trials and num_free < MAX_FREE:
        started = time.perf_counter()
        position = peer.ask()
        thought_s += time.perf_counter() - started
        if position is None:
            break
        config = grid.by_position.get(position)
        if config is None:
            num_free += 1
            peer.tell(position, PeerResult(steps_per_second=None, excess=None, wall_s=0.0))
            continue
        outcome = machine.run(config)
        speed = outcome.measurement.steps_per_second if outcome.measurement else None
        if speed is not None and speed > best[0]:
            best = speed, config
        excess = math.log2((outcome.predicted_device_bytes or 1) / replay.budget_bytes)
        peer.tell(
            position, PeerResult(steps_per_second=speed, excess=excess, wall_s=outcome.wall_s)
        )
    return _run(machine, best[1], thought_s)


def run_knowing(replay: Replay, seed: int, share: float = 0.95) -> SearchRun:
    """Run the default, and then what reaches `share` of the best in the shortest trial: no search
    that begins with the default is there sooner.
    """

    def trial_s(config: ConfigValues) -> float:
        return SimulatedMachine(replay, seed).run(config).wall_s

    machine = SimulatedMachine(replay, seed)
    near = [config for config in replay.points if replay.share(config) >= share]
    soonest = min(near, key=trial_s)
    for config in (tuple(replay.baseline[name] for name in replay.space.names), soonest):
        machine.run(config)
    return _run(machine, soonest, 0.0)


def _run(machine: SimulatedMachine, picked: ConfigValues | None, thought_s: float) -> SearchRun:
    return SearchRun(
        shares=tuple(machine.replay.share(config) for config, _ in machine.ran),
        ended_s=tuple(ended_s for _, ended_s in machine.ran),
        picked=0.0 if picked is None else machine.replay.share(picked),
        thought_s=thought_s,
    )
