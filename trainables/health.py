"""The metrics that a training tells of itself, held to what a table of trials can keep."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from trainables.workload import Evaluates, ReportsHealth, Workload, WorkloadInputError

RETURN = "mean_return"
"""The name of the metric that learning is judged by."""

NOISE_SCALE = "gradient_noise_scale"
"""The name of a metric that is a ratio of two noisy estimates, of which the lower may be zero."""

_OF_EPISODES = ("return", "episode", "reward", "length")
_MOST_METRICS, _LONGEST_METRIC = 256, 200


def health_of(workload: Workload) -> dict[str, float]:
    """Return the metrics of the last update, without those that have no value yet.

    Raises:
        WorkloadInputError: if health() returns something else.
    """
    if not isinstance(workload, ReportsHealth):
        return {}
    return known_metrics(workload.health(), "health()")


def known_metrics(metrics: Any, teller: str) -> dict[str, float]:
    """Return metrics as numbers, without those that have no value yet.

    Raises:
        WorkloadInputError: if they are something else; it names the `teller`.
    """
    if problem := _metrics_problem(metrics):
        raise WorkloadInputError(f"{teller} {problem}.")
    health = {name: _mean(f"{teller} has {name} =", value) for name, value in metrics.items()}
    return {name: value for name, value in health.items() if not _is_unknown_yet(name, value)}


def held_out_return(workload: Workload) -> float | None:
    """Return the mean return of held-out episodes; `None` where the workload has none.

    Raises:
        WorkloadInputError: if evaluate() returns something else.
    """
    value = workload.evaluate() if isinstance(workload, Evaluates) else None
    return None if value is None else _mean("evaluate() returned", value)


def require_return(workload: Workload) -> None:
    """Hold a workload to telling what learning is judged by.

    Raises:
        WorkloadInputError: if it tells neither a `mean_return` nor that of held-out episodes.
    """
    names = workload.health().keys() if isinstance(workload, ReportsHealth) else ()
    if RETURN not in names and held_out_return(workload) is None:
        raise no_return(
            names,
            f"give its health() a {RETURN!r} (NaN until an episode has ended), or give it "
            "evaluate() (trainables/workload.py).",
        )


def no_return(names: Collection[str], advice: str) -> WorkloadInputError:
    """Return the error of a training that tells metrics of these names, and no return."""
    told = f"only {', '.join(sorted(names))}" if names else "no metrics at all"
    return WorkloadInputError(
        f"--objective learning needs the return, and the training tells {told}: {advice}"
    )


def _metrics_problem(metrics: Any) -> str | None:
    """Return why these cannot be metrics: each goes into a table of all trials."""
    if not isinstance(metrics, Mapping):
        return f"must give a mapping of names to numbers, got {type(metrics).__name__}"
    if len(metrics) > _MOST_METRICS:
        return f"has {len(metrics):,} metrics, at most {_MOST_METRICS} are kept: choose some"
    for name in metrics:
        if not (isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_METRIC):
            return f"has the name {name!a:.80}, which is no printable word"
    return None


def _mean(said: str, value: Any) -> float:
    """Return a metric as a number; an array of them is averaged.

    Raises:
        WorkloadInputError: if it is neither.
    """
    import numpy as np  # not before the affinity holds

    try:
        return float(np.asarray(value, dtype=float).mean())
    except (TypeError, ValueError) as error:
        raise WorkloadInputError(
            f"{said} {value!r:.80}, which is no number and no array of numbers."
        ) from error


def _is_unknown_yet(name: str, value: float) -> bool:
    """Return whether a metric has no value yet, which is no instability.

    A ratio of estimates may be infinite; a mean over episodes is NaN until one has ended.
    """
    if name == NOISE_SCALE:
        return not math.isfinite(value)
    return math.isnan(value) and any(word in name.lower() for word in _OF_EPISODES)
