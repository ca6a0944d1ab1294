"""Rules that end a trial which could go on: each returns a kind and a sentence, or `None`. Pure."""

import math
from collections.abc import Mapping

from cluster.pages import units
from trainables.measurement import ENV_STEPS, OutcomeKind, TrialRequest
from trainables.sampling import Throughput
from trainables.workload import DeviceUsage

TrialVerdict = tuple[OutcomeKind, str]

MIN_BLOCKS_TO_GIVE_UP = 3
"""Fewest blocks whose interval is taken seriously."""
_GIB = 2**30
_MOST_DEAD = 0.5
"""A forward pass too many is a third; a training whose result is dropped is nearly all."""

_MOST_OF_PEAK = 4.0
"""Fast algorithms for convolutions need up to some 2.5 x fewer operations than are counted."""


def wrong_device(platform: str, usage: DeviceUsage | None) -> TrialVerdict | None:
    """Judge a trial that runs on another platform than asked: an error, and never measured.

    Frameworks fall back to the CPU in silence, so a workload that is to run on a GPU must say where
    it runs.
    """
    if usage is None and platform != "cpu":
        return (
            OutcomeKind.ERROR,
            f"the trial was to run on {platform}, but the workload cannot say where it runs; "
            "give it device_usage() (trainables/workload.py).",
        )
    if usage is not None and usage.platform != platform:
        return (
            OutcomeKind.ERROR,
            f"the trial was to run on {platform}, but the framework uses {usage.platform}. "
            "Check the driver and how the framework was installed (python -m tune.preflight).",
        )
    return None


def over_budget(need_bytes: int | None, budget_bytes: int | None) -> TrialVerdict | None:
    """Judge a program that needs more memory than there is, before it runs."""
    if need_bytes is None or budget_bytes is None or need_bytes <= budget_bytes:
        return None
    return (
        OutcomeKind.DEVICE_MEMORY,
        f"the compiled program needs {need_bytes / _GIB:.2f} GiB of device memory, the budget is "
        f"{budget_bytes / _GIB:.2f} GiB; it was not run. "
        "Use fewer environments, shorter rollouts or smaller minibatches.",
    )


def dead_code(dead_share: float | None) -> TrialVerdict | None:
    """Judge a program that computes what its update does not return: the compiler removes that."""
    if dead_share is None or dead_share <= _MOST_DEAD:
        return None
    return (
        OutcomeKind.ERROR,
        f"{dead_share:.0%} of the update's matrix products reach neither the state nor the metrics "
        "that it returns, so the compiler removes them, and what is left is no training: return "
        "the new parameters in the state.",
    )


def nothing_trained(before: bytes, after: bytes) -> TrialVerdict | None:
    """Judge a trial by its state after its first and its last update; an empty one says nothing."""
    if not before or before != after:
        return None
    return (
        OutcomeKind.ERROR,
        "no floating-point array of the state changed after the first update, so nothing is "
        "trained: return the new parameters in the state, and look at the learning rate.",
    )


def beyond_peak(flops_per_second: float, peak: float | None) -> TrialVerdict | None:
    """Judge a trial that would multiply faster than its device can: its work was removed."""
    if peak is None or flops_per_second <= _MOST_OF_PEAK * peak:
        return None
    return (
        OutcomeKind.ERROR,
        f"its matrix products would run at {flops_per_second / 1e9:,.0f} GFLOP/s, where a large "
        f"one makes {peak / 1e9:,.0f} here: the compiler removed work whose result is not used.",
    )


def unhealthy(health: Mapping[str, float]) -> TrialVerdict | None:
    """Judge metrics that are NaN or Inf: training does not recover from them."""
    bad = [f"{name} is {value}" for name, value in health.items() if not math.isfinite(value)]
    return (OutcomeKind.UNSTABLE, f"training is unstable: {', '.join(bad)}.") if bad else None


def too_slow(
    estimate: Throughput, slow_below: float | None, unit: str = ENV_STEPS
) -> TrialVerdict | None:
    """Judge a trial whose interval lies wholly below `slow_below`: it cannot win.

    A speed that something beside the trial disturbed proves nothing.
    """
    if slow_below is None or estimate.num_blocks < MIN_BLOCKS_TO_GIVE_UP or estimate.disturbed:
        return None
    if estimate.high >= slow_below:
        return None
    return (
        OutcomeKind.SLOW,
        f"{_speed(estimate.steps_per_second)} {unit}/s, at most {_speed(estimate.high)}: "
        f"it cannot reach {_speed(slow_below)}.",
    )


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def stood_still(unit: str) -> TrialVerdict:
    """Return the verdict on a training whose speed is 0, as it tells it."""
    return (
        OutcomeKind.INVALID,
        f"it told no {unit} for half of its time or more, so that its speed is not known: let it "
        "tell them in smaller steps, a rate with more digits.",
    )


def recompiled(before: int | None, after: int | None) -> TrialVerdict | None:
    """Judge a trial that compiled during steady updates: it timed compilations and leaks memory.

    `before` and `after` are the compilations up to then, `None` where nobody counts.
    """
    count = 0 if before is None or after is None else after - before
    if count <= 0:
        return None
    return (
        OutcomeKind.ERROR,
        f"recompiled {count} times during steady updates: something that changes between updates "
        "is a static argument or a new shape.",
    )


def completed(
    estimate: Throughput, request: TrialRequest, *, counted: str = "update"
) -> TrialVerdict:
    """Return the verdict on a trial that ran to its end; it says why if its speed is not known.

    `counted` is what updates are called there, in the singular.
    """
    if request.num_updates is not None:
        done = units.of_planned(estimate.num_updates, request.num_updates, counted)
        return OutcomeKind.COMPLETED, f"ran {done}."
    if estimate.converged:
        return OutcomeKind.COMPLETED, "measured."
    sampling = request.sampling
    if estimate.disturbed:
        return (
            OutcomeKind.COMPLETED,
            f"measured, but {estimate.num_disturbed_blocks} of its {estimate.num_blocks} blocks of "
            f"{counted}s were disturbed.",
        )
    most = 2.0 * sampling.relative_half_width * estimate.steps_per_second
    if estimate.num_blocks >= sampling.min_blocks and estimate.high - estimate.low < most:
        return OutcomeKind.COMPLETED, "measured, but for less time than a count is timed for."
    return (
        OutcomeKind.COMPLETED,
        f"measured, but not to within {sampling.relative_half_width:.0%}: its time was up.",
    )
