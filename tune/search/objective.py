"""The objectives of a search: scores of measured speeds. Stdlib only, pure."""

import enum
import math
import statistics
from collections.abc import Iterable

from search_spaces.config import Config, num_minibatches, num_samples
from trainables.health import NOISE_SCALE
from tune.search.trial import Trial

_IDLE_DISCOUNT = 0.1
"""The discount of a fully idle GPU in `balanced`: about the difference of two hosts of one class.

So it decides between near-equals (an idle GPU has room for a larger model, or a second job) and
never against a configuration that is clearly faster.
"""


SAMPLE_SCALES = tuple(2.0**power for power in range(9, 22))
"""The possible scales of the samples of an update, for a task of which nothing is known.

The likeliest are 2**15, 2**17 and 2**17 on the three landscapes of benchmarks/learning.
"""


class Objective(enum.StrEnum):
    """The quantity that a search maximises."""

    THROUGHPUT = "throughput"
    BALANCED = "balanced"
    LEARNING = "learning"


def score(
    objective: Objective,
    *,
    config: Config,
    steps_per_second: float,
    noise_scale: float | None,
    gpu_utilization: float | None = None,
) -> float:
    """Return env steps per second, for `balanced` less what is learned less per sample and what an
    idle GPU wastes.

    `noise_scale` is the gradient noise scale in samples, `gpu_utilization` is NVML's percent; each
    is `None` where it was not measured.
    """
    if objective is not Objective.BALANCED:
        return steps_per_second  # what learns fastest is not explored, but trained
    value = steps_per_second * learning_per_sample(config, noise_scale)
    if gpu_utilization is not None:
        value *= 1.0 - _IDLE_DISCOUNT * (1.0 - gpu_utilization / 100.0)
    return value


def learning_per_sample(config: Config, noise_scale: float | None) -> float:
    """Return the progress per sample by the model of `progress`, as a share of the most possible.

    A gradient step on B samples makes 1 / (1 + B0 / B) of the progress of a noiseless one, so
    progress per sample falls as 1 / (1 + B / B0) (McCandlish et al. 2018, "An Empirical Model of
    Large-Batch Training", eq. 2.7). B0 is the noise scale; where it was not measured, or there is
    no `batch_size`, there is nothing to discount by. The N samples of an update are worth
    1 / (1 + N / N0). N0 only trainings tell: it is the geometric mean over all that are possible.
    """
    share, batch_size = 1.0, config.get("batch_size")
    if batch_size is not None and noise_scale is not None:
        share /= 1.0 + float(batch_size) / noise_scale
    samples = num_samples(config) or 0
    return share / math.exp(statistics.fmean(math.log1p(samples / n0) for n0 in SAMPLE_SCALES))


def required_speed(
    objective: Objective,
    *,
    config: Config,
    best_score: float,
    noise_scale: float | None,
) -> float:
    """Return the env steps per second at which a configuration's score equals `best_score`.

    Its GPU is taken to be fully used, so the speed is never too high to stop a trial by.
    """
    return best_score / score(
        objective, config=config, steps_per_second=1.0, noise_scale=noise_scale
    )


def typical_noise_scale(trials: Iterable[Trial]) -> float | None:
    """Return the median gradient noise scale in samples; `None` where most trials know none.

    The scale depends on the task and the policy's age, not on the configuration; a single trial's
    estimate is a ratio of two noisy numbers, so all configurations are judged by one median. A
    trial of several minibatches that reports none could not tell the signal from nothing: the few
    that did by chance speak for no one.
    """
    scales, num_silent = [], 0
    for trial in trials:
        if trial.measurement is None:
            continue
        scale = trial.measurement.health.get(NOISE_SCALE)
        if scale is not None and scale > 0:
            scales.append(scale)
        elif num_minibatches(trial.config) != 1:  # of one alone it cannot be estimated
            num_silent += 1
    return statistics.median(scales) if scales and len(scales) >= num_silent else None
