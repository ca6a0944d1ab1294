"""What ends a trial that could go on: each rule returns a kind and a sentence, or `None`. Pure."""

import math
import typing
from collections.abc import Mapping

from trainables.measurement import OutcomeKind, TrialRequest
from trainables.workload import DeviceUsage

if typing.TYPE_CHECKING:  # it brings NumPy, and this is imported before the caps hold
    from trainables.throughput import Throughput

TrialVerdict = tuple[OutcomeKind, str]

MIN_BLOCKS_TO_GIVE_UP = 3
"""Before that, an interval over blocks says nothing."""
_GIB = 2**30


def wrong_device(platform: str, usage: DeviceUsage | None) -> TrialVerdict | None:
    """A framework that falls back to the CPU in silence is an error, and never measured.

    So a workload that is to run on a GPU must say where it runs.
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
    """A program that needs more memory than there is can be judged before it runs."""
    if need_bytes is None or budget_bytes is None or need_bytes <= budget_bytes:
        return None
    return (
        OutcomeKind.DEVICE_MEMORY,
        f"the compiled program needs {need_bytes / _GIB:.2f} GiB of device memory, the budget is "
        f"{budget_bytes / _GIB:.2f} GiB; it was not run. "
        "Use fewer environments, shorter rollouts or smaller minibatches.",
    )


def unhealthy(health: Mapping[str, float]) -> TrialVerdict | None:
    """NaN and Inf do not go away again: what comes after them is no training."""
    bad = [f"{name} is {value}" for name, value in health.items() if not math.isfinite(value)]
    return (OutcomeKind.UNSTABLE, f"training is unstable: {', '.join(bad)}.") if bad else None


def too_slow(estimate: "Throughput", slow_below: float | None) -> TrialVerdict | None:
    """A trial whose interval lies wholly below `slow_below` cannot win."""
    if slow_below is None or estimate.num_blocks < MIN_BLOCKS_TO_GIVE_UP:
        return None
    if estimate.high >= slow_below:
        return None
    return (
        OutcomeKind.SLOW,
        f"{estimate.steps_per_second:,.0f} env steps/s, at most {estimate.high:,.0f}: "
        f"it cannot reach {slow_below:,.0f}.",
    )


def recompiled(before: DeviceUsage | None, after: DeviceUsage | None) -> TrialVerdict | None:
    """Steady updates compile nothing: if they do, compiling is what was timed, and memory leaks."""
    if before is None or after is None:
        return None
    if before.num_compilations is None or after.num_compilations is None:
        return None
    count = after.num_compilations - before.num_compilations
    if count <= 0:
        return None
    return (
        OutcomeKind.ERROR,
        f"recompiled {count} times during steady updates: something that changes between updates "
        "is a static argument or a new shape.",
    )


def completed(estimate: "Throughput", request: TrialRequest) -> TrialVerdict:
    """It ran to the end, which may be the end of its time: that is said."""
    if request.num_updates is not None:
        return (
            OutcomeKind.COMPLETED,
            f"ran {estimate.num_updates} of {request.num_updates} updates.",
        )
    if estimate.converged:
        return OutcomeKind.COMPLETED, "measured."
    sampling = request.sampling
    return (
        OutcomeKind.COMPLETED,
        f"measured, but not to within {sampling.relative_half_width:.0%}: its "
        f"{sampling.max_measure_s:g} s were up.",
    )
