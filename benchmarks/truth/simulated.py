"""The claims of searches beside neighbours, against the truth that a simulation knows.

Searches run the real policy, finals and soak included, on the machine of `noisy_machine`.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from benchmarks import recorded
from benchmarks.markdown import row
from benchmarks.replay import Replay, replay
from benchmarks.search_runs import FOLDER, our_search
from benchmarks.truth.noisy_machine import (
    NEIGHBOURS,
    SOAK_UPDATES,
    Neighbour,
    NoisyMachine,
    slowed_down,
)
from search_spaces.config import config_key
from tune.search.candidates import candidates_of
from tune.search.noise import KNOWN_DOF, KNOWN_SD, between_processes
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.speedup import pairs_of, speedup
from tune.search.trial import Stage, Trial

MAX_TIME_S = 420.0
"""The --max-time of a search, unless another is said."""

_DOFS = (1.0, KNOWN_DOF, 4.0, 8.0, 16.0)
_WANTED_COVERAGE = 0.95


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TruthRun:
    """One search against the truth.

    `covers`: the interval of its speed-up has the true one. `claims_false`: it says "faster" of
    what is not. `error` is that of the promise, as a share; it `holds` if its interval has the
    truth, or it is marked. `is_marked`: the promise, or the comparison, is marked as disturbed.
    `num_alarms` of `num_trials` had a disturbed block, or a slower machine.
    `covers_with` says for each weight of what is known of a machine's noise whether the interval
    would have the true speed-up. `num_rounds` are the finals of the winner or of the baseline,
    whichever has fewer; `picked` is the winner's true speed as a share of the best.
    """

    covers: bool
    claims_false: bool
    error: float
    holds: bool
    is_marked: bool
    num_alarms: int
    num_trials: int
    wall_s: float
    covers_with: dict[float, bool]
    num_rounds: int
    picked: float


def search(
    scene: Replay, neighbour: Neighbour, seed: int, max_time_s: float = MAX_TIME_S
) -> TruthRun:
    """Run one search on a machine with this neighbour; compare what it says with the truth."""
    machine = NoisyMachine(scene, neighbour, seed)
    policy = our_search(
        scene,
        seed,
        40,
        clock=lambda: machine.now,
        max_time_s=max_time_s,
        soak_updates=SOAK_UPDATES,
    )
    while (trial := policy.ask()) is not None:
        outcome = machine.run(trial, policy.machine_best(1), policy.sampling_for(trial))
        policy.tell(trial, outcome)
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
        holds=is_marked or winner.promised_low <= true_speed <= winner.high,
        is_marked=is_marked,
        num_alarms=sum(map(_has_alarm, measured)),
        num_trials=len(measured),
        wall_s=machine.now,
        covers_with={
            dof: is_baseline or is_marked or _covers(found, winner, baseline, true_gain, dof)
            for dof in _DOFS
        },
        num_rounds=min(_num_finals(found, winner), _num_finals(found, baseline)),
        picked=true_speed / scene.best_speed,
    )


def _num_finals(found: SearchResult, one: Candidate) -> int:
    keys = [config_key(t.config) for t in found.trials if t.stage is Stage.FINAL and t.measurement]
    return keys.count(config_key(one.config))


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


def searches(
    scene: Replay, neighbour: Neighbour, num_searches: int, max_time_s: float = MAX_TIME_S
) -> list[TruthRun]:
    """Run searches that differ by their noise."""
    return [search(scene, neighbour, seed, max_time_s) for seed in range(num_searches)]


def scene_of(landscape: str, slower: float) -> Replay:
    """Return a recorded landscape, on a machine that takes so many times as long."""
    return slowed_down(replay(landscape, recorded.read(FOLDER / f"{landscape}.json")), slower)


def show(scene: Replay, num_searches: int, max_time_s: float) -> None:
    """Print the table."""
    first = ("covered", "false claims", "error, median", "95 %", "in its interval", "marked")
    columns = (*first, "alarms", "two rounds", "picked", "s")
    print(row(("neighbour", *columns)))
    print(row(("---", *["---:"] * len(columns))))
    for name, neighbour in NEIGHBOURS.items():
        print(_row(name, searches(scene, neighbour, num_searches, max_time_s)), flush=True)


def show_cross_validation(scene: Replay, num_searches: int, max_time_s: float) -> None:
    """Print what the rule's weight would be without each neighbour, and how it does on that one."""
    seen = {name: one for name, one in NEIGHBOURS.items() if one.is_seen}
    runs = {name: searches(scene, one, num_searches, max_time_s) for name, one in seen.items()}
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
    errors = sorted(abs(run.error) for run in runs if not run.is_marked)
    alarms = sum(run.num_alarms for run in runs) / sum(run.num_trials for run in runs)
    return row(
        (
            name,
            f"{statistics.fmean(run.covers for run in runs):.0%}",
            f"{sum(run.claims_false for run in runs)} of {len(runs)}",
            f"{statistics.median(errors):.1%}" if errors else "-",
            f"{errors[math.ceil(0.95 * len(errors)) - 1]:.1%}" if errors else "-",
            f"{statistics.fmean(run.holds for run in runs):.0%}",
            f"{statistics.fmean(run.is_marked for run in runs):.0%}",
            f"{alarms:.0%}",
            f"{statistics.fmean(run.num_rounds >= 2 for run in runs):.0%}",
            f"{statistics.fmean(run.picked for run in runs):.1%}",
            f"{statistics.median(run.wall_s for run in runs):.0f}",
        )
    )
