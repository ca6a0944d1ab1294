"""A study over several hosts of a class against one: simulated seconds on recorded landscapes.

    python -m benchmarks.hosts [--hosts 1 2 4 8] [--seeds 30] [--finals alone|together]

It is simulated as a joined cluster runs it. An idle host gets the next trial, chosen by the trials
that have ended until then. Finals start after exploring: one after the other on one host, or
together on all.
"""

import argparse
import statistics
from collections.abc import Sequence

from benchmarks import markdown, recorded
from benchmarks.replay import replay
from benchmarks.search_runs import SearchRun, measured, run_ours

_MAX_TRIALS = 40


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table per landscape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--finals", choices=["alone", "together"], default="alone")
    options = parser.parse_args(arguments)
    for path in measured():
        scene = replay(path.stem, recorded.read(path))
        print(f"\n{scene.name}\n\n{_HEADER}")
        for num_hosts in options.hosts:
            runs = [
                run_ours(
                    scene,
                    seed,
                    _MAX_TRIALS,
                    num_hosts=num_hosts,
                    num_ahead=0,
                    side_by_side=options.finals == "together",
                )
                for seed in range(options.seeds)
            ]
            print(_row(num_hosts, runs), flush=True)


_HEADER = """\
| hosts | s to 5 % | s to 2 % | all, s | trials, finals included | picked, % of best |
| ---: | ---: | ---: | ---: | ---: | ---: |"""


def _row(num_hosts: int, runs: Sequence[SearchRun]) -> str:
    """Return one row: medians, the 90 % quantile in brackets."""
    cells = [
        str(num_hosts),
        markdown.median([run.seconds_to(0.95) for run in runs]),
        markdown.median([run.seconds_to(0.98) for run in runs]),
        markdown.median([run.ended_s[-1] for run in runs]),
        f"{statistics.median(len(run.shares) for run in runs):.0f}",
        f"{100 * statistics.median(run.picked for run in runs):.1f}",
    ]
    return markdown.row(cells)


if __name__ == "__main__":
    main()
