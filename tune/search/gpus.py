"""The GPUs of a host against each other, by the baseline that each ran. Stdlib only, pure.

GPUs of one kind differ by some percent, and one that is hot, held back or shared by far more.
Exploring runs on all of them, so its speeds are compared as if all were alike; finals run on one.
"""

import statistics
from collections.abc import Iterable, Mapping

from search_spaces.config import DEVICES, Config
from trainables.measurement import Measurement
from tune.search.trial import EXPLORING, Stage, Trial

_SLOW = 0.9
"""A GPU is clearly slow below this share of the typical speed. Healthy ones differ by less: over
processes of one H100, speeds differ by 0.3 % (benchmarks/gpu), hosts of one class by 8 %.
"""


def relative_speeds(trials: Iterable[Trial]) -> dict[str, float]:
    """Return the speed of each GPU that ran the baseline, as a share of the typical GPU's.

    The typical one is the median, of two the faster. Empty where fewer than two ran it.
    """
    measured = _by_gpu(trials)
    if len(measured) < 2:
        return {}
    typical = statistics.median_high(one.steps_per_second for one in measured.values())
    return {gpu: one.steps_per_second / typical for gpu, one in measured.items()}


def relative_speed(trial: Trial, relative: Mapping[str, float]) -> float:
    """Return the relative speed of the GPU that a trial explored on; of several, all wait for the
    slowest. It is 1 for what is compared on one GPU anyway.
    """
    gpus = trial.outcome.gpus if trial.outcome and trial.stage in EXPLORING else ()
    return min((relative.get(gpu, 1.0) for gpu in gpus), default=1.0)


def is_to_compare(trials: Iterable[Trial], baseline: Config, num_gpus: int) -> bool:
    """Return whether the baseline is next on a further GPU: on each once, after it has begun.

    A training on several GPUs needs all of them, whichever is slower.
    """
    stages = [trial.stage for trial in trials]
    num_begun = stages.count(Stage.BASELINE) and 1 + stages.count(Stage.GPU)
    return 0 < num_begun < num_gpus and DEVICES not in baseline


def slow(trials: Iterable[Trial]) -> dict[str, float]:
    """Return the relative speeds of the GPUs that are clearly slower than the others."""
    trials = list(trials)
    measured, relative = _by_gpu(trials), relative_speeds(trials)
    return {
        gpu: share
        for gpu, share in relative.items()
        if share * measured[gpu].high / measured[gpu].steps_per_second < _SLOW
    }


def left_out(gpu: str, share: float) -> str:
    """Return the sentence for a person that a slow GPU is left out."""
    return (
        f"GPU {gpu} ran the baseline at {share:.2f} x the speed of the others: it is left out. Is "
        "it hot, held back, or used by another program?"
    )


def _by_gpu(trials: Iterable[Trial]) -> dict[str, Measurement]:
    found: dict[str, Measurement] = {}
    for trial in trials:
        measured = trial.measurement
        if trial.stage not in {Stage.BASELINE, Stage.GPU} or measured is None or trial.is_disturbed:
            continue
        if trial.outcome is not None and len(trial.outcome.gpus) == 1:
            found.setdefault(trial.outcome.gpus[0], measured)
    return found
