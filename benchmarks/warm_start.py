"""Savings of `--warm-start`, and costs of misleading profiles, on recorded landscapes.

    python -m benchmarks.warm_start [--seeds 30]

A profile is simulated by what it recommends. A profile of another machine or workload recommends
the best of another landscape; one of this class of machines, the best of this landscape. Misleading
profiles recommend the three slowest configurations that fit.
"""

import argparse
import statistics
from collections.abc import Sequence

from benchmarks import markdown, recorded
from benchmarks.replay import Replay, replay
from benchmarks.search_runs import SearchRun, measured, run_ours
from tune.profile.warm_start import nearest

Configs = tuple[dict[str, int], ...]
_MAX_TRIALS = 40


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table per landscape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30)
    options = parser.parse_args(arguments)
    scenes = [replay(path.stem, recorded.read(path)) for path in measured()]
    for scene in scenes:
        print(f"\n{scene.name}\n\n{_HEADER}")
        for name, configs in recommendations(scene, scenes).items():
            runs = [
                run_ours(scene, seed, _MAX_TRIALS, warm_start=configs)
                for seed in range(options.seeds)
            ]
            print(_row(name, runs), flush=True)


def recommendations(scene: Replay, scenes: Sequence[Replay]) -> dict[str, Configs]:
    """Return what profiles might recommend on a landscape, by the kind of profile."""
    ranked = sorted(scene.points, key=scene.share, reverse=True)
    fitting = [config for config in ranked if scene.fits(config)]
    others = [
        nearest(scene.space, _config(other, max(other.points, key=other.share)))
        for other in scenes
        if other is not scene
    ]
    return {
        "none": (),
        "of the other landscapes": tuple(config for config in others if config != scene.baseline),
        "of this class": (_config(scene, fitting[0]),),
        "misleading": tuple(_config(scene, config) for config in fitting[-3:]),
    }


def _config(scene: Replay, values: recorded.ConfigValues) -> dict[str, int]:
    return dict(zip(scene.space.names, values, strict=True))


_HEADER = """\
| profiles | trials to 5 % | s to 5 % | s to 2 % | trials | all, s | picked, % of best |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def _row(name: str, runs: Sequence[SearchRun]) -> str:
    """Return one row: medians, the 90 % quantile in brackets."""
    cells = [
        name,
        markdown.median([run.trials_to(0.95) for run in runs]),
        markdown.median([run.seconds_to(0.95) for run in runs]),
        markdown.median([run.seconds_to(0.98) for run in runs]),
        markdown.median([len(run.shares) for run in runs]),
        markdown.median([run.ended_s[-1] for run in runs]),
        f"{100 * statistics.median(run.picked for run in runs):.1f}",
    ]
    return markdown.row(cells)


if __name__ == "__main__":
    main()
