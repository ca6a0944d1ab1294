"""Our search beside its peers on recorded landscapes: what each finds, how soon, at what cost.

    python -m benchmarks.search [--seeds 30] [--only ours "Optuna GP"] [--landscapes FILE.json ...]

Nothing is run: a replay (benchmarks/replay.py) answers with recorded speeds, noise and seconds.
Ours is the search that `python -m tune.jax_phase12` drives, finals included, with its own reasons
to stop; a peer runs `--trials` trials. Peers: pip install -e .[peers] (else their rows say so).
"""

import dataclasses
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from benchmarks import markdown, recorded
from benchmarks.peers.named import PEERS
from benchmarks.replay import replay
from benchmarks.search_runs import FOLDER, SearchRun, run_knowing, run_ours, run_peer
from cluster import cli


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchBenchmark:
    """Replay searches on recorded landscapes and print a table per landscape."""

    landscapes: tuple[Path, ...] = ()
    """Recorded files; all that lie in benchmarks/landscapes if left out."""
    seeds: int = 30
    """Searches per row."""
    trials: int = 40
    """Trials that a search may run, infeasible ones included."""
    only: tuple[str, ...] = ()
    """Rows to print, by the beginning of their names."""


_HEADER = """\
| | trials to 5 % | s to 5 % | s to 2 % | never | infeasible run | picked, % of best | all, s |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def _row(name: str, runs: Sequence[SearchRun]) -> str:
    """Return one search's row: medians, the 90 % quantile in brackets."""
    never = sum(run.trials_to(0.95) == math.inf for run in runs)
    infeasible = statistics.fmean(run.num_infeasible for run in runs)
    picked = sorted(100.0 * run.picked for run in runs)
    good = sum(run.picked >= 0.98 for run in runs)
    cells = [
        name,
        markdown.median([run.trials_to(0.95) for run in runs]),
        markdown.median([run.seconds_to(0.95) for run in runs]),
        markdown.median([run.seconds_to(0.98) for run in runs]),
        f"{never} of {len(runs)}",
        f"{infeasible:.1f}",
        f"{statistics.median(picked):.1f}, >= 98: {good} of {len(runs)}",
        f"{statistics.median(run.ended_s[-1] for run in runs):.0f}",
    ]
    return markdown.row(cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit code."""
    return cli.run(lambda: _compare_all(arguments))


def _compare_all(arguments: Sequence[str] | None) -> int:
    options = tyro.cli(
        SearchBenchmark, args=arguments, prog="python -m benchmarks.search", description=__doc__
    )
    for path in options.landscapes or sorted(FOLDER.glob("*.json")):
        compare(path, options)
    return 0


def compare(path: Path, options: SearchBenchmark) -> None:
    """Print one landscape's table, a row as soon as it is there."""
    landscape = recorded.read(path)
    scene = replay(path.stem, landscape)
    near = sum(scene.share(config) >= 0.95 for config in scene.points)
    print(
        f"\n{scene.name}{' (a model, not measured)' if landscape.is_model else ''}: "
        f"{len(scene.points)} configurations, {scene.infeasible_share:.0%} over "
        f"the budget of {scene.budget_bytes / 2**20:.0f} MiB, {near} within 5 % of the best; "
        f"{options.seeds} seeds\n\n{_HEADER}"
    )
    contestants: dict[str, Callable[[int], SearchRun]] = {
        "ours": lambda seed: run_ours(scene, seed, options.trials),
        "ours, not looking ahead": lambda seed: run_ours(scene, seed, options.trials, num_ahead=0),
    }
    if scene.on_gpu:
        contestants["ours, seven ahead"] = lambda seed: run_ours(
            scene, seed, options.trials, num_ahead=7
        )
    contestants["knowing what is within 5 %"] = lambda seed: run_knowing(scene, seed)
    for name, make in PEERS.items():
        contestants[name] = lambda seed, make=make: run_peer(make, scene, seed, options.trials)  # type: ignore[misc]
    for name, contest in contestants.items():
        if options.only and not name.startswith(options.only):
            continue
        try:
            print(_row(name, [contest(seed) for seed in range(options.seeds)]), flush=True)
        except ImportError as error:
            print(f"| {name} | not installed: {error.name} | | | | | | |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
