"""The finals as a race and as rounds for all: what they cost, and how good the picks are.

    python -m benchmarks.finals [--seeds 120] [--training-hours 10]

Searches are replayed with the defaults of the command line, the soak left out. `lost` is the
search's own time and the longer training with its pick, as in benchmarks/knobs.py.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Sequence
from unittest import mock

from benchmarks import markdown, recorded
from benchmarks.replay import replay
from benchmarks.search_runs import SearchRun, measured, run_ours
from search_spaces.config import Config
from tune.search import finals
from tune.search.objective import Objective
from tune.search.race import Race, race_of
from tune.search.trial import Trial

_MAX_TRIALS = 40


def no_race(
    trials: Sequence[Trial],
    leaders: Sequence[Config],
    objective: Objective,
    baseline: Config,
    *,
    num_rounds: int,
) -> Race:
    """Return a race in which all leaders run all rounds, and no more."""
    found = race_of(trials, leaders, objective, baseline, num_rounds=num_rounds)
    return dataclasses.replace(found, running=list(leaders), rivals=[])


def drops_alone(
    trials: Sequence[Trial],
    leaders: Sequence[Config],
    objective: Objective,
    baseline: Config,
    *,
    num_rounds: int,
) -> Race:
    """Return the race without further rounds for those that are not told apart."""
    found = race_of(trials, leaders, objective, baseline, num_rounds=num_rounds)
    return dataclasses.replace(found, rivals=[])


RULES = {"rounds for all": no_race, "the beaten stop": drops_alone, "a race": race_of}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row per landscape and rule: means over the searches."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=120)
    parser.add_argument("--training-hours", type=float, default=10.0)
    options = parser.parse_args(arguments)
    names = [
        "",
        "finals",
        "number",
        "share of the search",
        "search, s",
        "picked",
        ">= 98",
        "lost, s",
    ]
    print(markdown.row(names))
    print(markdown.row(["---", "---", *["---:"] * 6]))
    for path in measured():
        scene = replay(path.stem, recorded.read(path))
        for name, rule in RULES.items():
            with mock.patch.object(finals, "race_of", rule):
                runs = [run_ours(scene, seed, _MAX_TRIALS) for seed in range(options.seeds)]
            print(_row(scene.name, name, runs, 3600 * options.training_hours), flush=True)


def _row(scene: str, rule: str, runs: Sequence[SearchRun], training_s: float) -> str:
    share = sum(sum(one.finals_s) for one in runs) / sum(one.ended_s[-1] for one in runs)
    cells = [
        scene,
        rule,
        f"{statistics.fmean(len(one.finals_s) for one in runs):.1f}",
        f"{share:.0%}",
        f"{statistics.fmean(one.ended_s[-1] for one in runs):.0f}",
        f"{statistics.fmean(one.picked for one in runs):.2%}",
        f"{sum(one.picked >= 0.98 for one in runs)} of {len(runs)}",
        f"{statistics.fmean(one.lost_s(training_s) for one in runs):.0f}",
    ]
    return markdown.row(cells)


if __name__ == "__main__":
    main()
