"""The limits on a trial, and by how much an outcome exceeds each. Stdlib only, pure."""

import dataclasses
import math

from trainables.measurement import Outcome, OutcomeKind

_JUST_OVER = 0.01
"""The excess of a process that died at a limit: the true one is not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits on a trial: OS threads of its tree, device and host bytes; `None` is no limit."""

    num_threads: int | None
    device_bytes: int | None
    host_bytes: int | None


def violations(outcome: Outcome, limits: Limits) -> dict[str, float]:
    """Return log2(use / limit) per constraint; the trial is feasible iff none is positive.

    All constraints appear on every trial: a sampler that models them needs complete rows. A use or
    a limit that is not known is no violation, unless the trial died of it.
    """
    measured = outcome.measurement.peak_device_bytes if outcome.measurement else None
    uses = {
        OutcomeKind.THREAD_LIMIT: (outcome.peak_threads, limits.num_threads),
        OutcomeKind.DEVICE_MEMORY: (
            measured or outcome.predicted_device_bytes,
            limits.device_bytes,
        ),
        OutcomeKind.HOST_MEMORY: (outcome.peak_host_bytes, limits.host_bytes),
    }
    graded = {}
    died_of = outcome.kind
    if died_of is OutcomeKind.EXCLUDED:  # predicted over a limit
        on_host = outcome.predicted_device_bytes is None
        died_of = OutcomeKind.HOST_MEMORY if on_host else OutcomeKind.DEVICE_MEMORY
    for kind, (use, limit) in uses.items():
        excess = math.log2(use / limit) if use and limit else 0.0
        graded[kind.value] = max(excess, _JUST_OVER) if died_of is kind else min(excess, 0.0)
    for kind in (OutcomeKind.UNSTABLE, OutcomeKind.TIMEOUT, OutcomeKind.INVALID):
        graded[kind.value] = _JUST_OVER if outcome.kind is kind else 0.0
    return graded
