"""Knobs of the search, cross-validated: chosen on some landscapes, reported on one held out.

    python -m benchmarks.knobs [--seeds 30] [--training-hours 10] [--efforts]

A search costs its own seconds. If its pick is slower than the best configuration, it also costs the
longer training that follows. The sum is `lost`, and knobs are judged by it. A knob that only fits
the landscapes it was chosen on loses more than the defaults on the one held out. With `--efforts`
it prints what the three values of `--effort` cost and find, on models of GPUs too; the soak is left
out.
"""

import argparse
import dataclasses
import itertools
import statistics
from collections.abc import Sequence

from benchmarks import markdown, recorded
from benchmarks.replay import Replay, replay
from benchmarks.search_runs import FOLDER, measured, run_ours
from tune.search.effort import Effort
from tune.spec import SearchSpec

_MAX_TRIALS = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Settings of a search that need a default."""

    patience: int = SearchSpec.NORMAL.patience
    finalists: int = SearchSpec.NORMAL.finalists
    rounds: int = SearchSpec.NORMAL.final_rounds

    def __str__(self) -> str:
        return (
            f"--patience {self.patience} --finalists {self.finalists} --final-rounds {self.rounds}"
        )


CHOICES = tuple(
    Knobs(patience=patience, finalists=finalists, rounds=rounds)
    for patience, finalists, rounds in itertools.product((4, 8, 12), (2, 3, 5), (1, 2, 3))
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the knobs chosen on each set, and their loss on the landscape held out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--training-hours", type=float, default=10.0)
    parser.add_argument("--efforts", action="store_true")
    options = parser.parse_args(arguments)
    paths = sorted(FOLDER.glob("*.json")) if options.efforts else measured()
    scenes = [replay(path.stem, recorded.read(path)) for path in paths]
    if options.efforts:
        _print_efforts(scenes, options.seeds)
        return
    losses = {
        (scene.name, knobs): lost_s(scene, knobs, options.seeds, 3600 * options.training_hours)
        for scene in scenes
        for knobs in CHOICES
    }
    print(
        "| held out | chosen on the others | lost there, s | by the defaults | least possible |\n"
        "| --- | --- | ---: | ---: | ---: |"
    )
    for held_out in scenes:
        others = [scene for scene in scenes if scene is not held_out]
        chosen = min(
            CHOICES,
            key=lambda knobs: sum(
                losses[scene.name, knobs] / losses[scene.name, Knobs()] for scene in others
            ),
        )
        there = {knobs: losses[held_out.name, knobs] for knobs in CHOICES}
        print(
            f"| {held_out.name} | `{chosen}` | {there[chosen]:.0f} | {there[Knobs()]:.0f} "
            f"| {min(there.values()):.0f} |"
        )


def _print_efforts(scenes: Sequence[Replay], num_seeds: int) -> None:
    print(
        "| | effort | trials | seconds | picked, % of best | >= 98 |\n"
        "| --- | --- | ---: | ---: | ---: | ---: |"
    )
    for scene in scenes:
        for effort in Effort:
            plan = SearchSpec(effort=effort).effort_plan
            runs = [
                run_ours(
                    scene,
                    seed,
                    plan.max_runs,
                    patience=plan.patience,
                    num_finalists=plan.finalists,
                    num_rounds=plan.final_rounds,
                )
                for seed in range(num_seeds)
            ]
            cells = [
                scene.name,
                effort,
                f"{statistics.median(len(run.shares) for run in runs):.0f}",
                markdown.median([run.ended_s[-1] for run in runs]),
                f"{100 * statistics.median(run.picked for run in runs):.1f}",
                f"{sum(run.picked >= 0.98 for run in runs)} of {num_seeds}",
            ]
            print(markdown.row(cells), flush=True)


def lost_s(scene: Replay, knobs: Knobs, num_seeds: int, training_s: float) -> float:
    """Return the mean seconds lost: the search's own, and the longer training with its pick."""
    runs = [
        run_ours(
            scene,
            seed,
            _MAX_TRIALS,
            patience=knobs.patience,
            num_finalists=knobs.finalists,
            num_rounds=knobs.rounds,
        )
        for seed in range(num_seeds)
    ]
    return statistics.fmean(run.lost_s(training_s) for run in runs)


if __name__ == "__main__":
    main()
