"""The peaks of a configuration's process trees over its trials. Pure.

They are over exploring, finals and soak: exhaustion has been seen as late as update 130, so the
soak's peaks count most, and they are not in the measurement that the speed comes from.
"""

import dataclasses
from collections.abc import Iterable

from tune.search.result import Candidate
from tune.search.trial import Trial


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Peaks of the process tree, `None` where it was never seen alive, of a GPU's allocator, `None`
    where none counts, and the smallest cap.
    """

    num_threads: int | None
    num_maps: int | None
    host_bytes: int | None
    device_bytes: int | None
    thread_cap: int


def peaks(candidate: Candidate, trials: Iterable[Trial]) -> Peaks:
    """Return the peaks of `candidate` over those of `trials` that ran its configuration."""
    outcomes = [candidate.representative] + [
        trial.outcome
        for trial in trials
        if trial.config == candidate.config and trial.measurement and trial.outcome
    ]
    measured = [outcome.measurement for outcome in outcomes if outcome.measurement]
    return Peaks(
        num_threads=max((o.peak_threads for o in outcomes if o.peak_threads), default=None),
        num_maps=max((o.peak_maps for o in outcomes if o.peak_maps), default=None),
        host_bytes=max((o.peak_host_bytes for o in outcomes if o.peak_host_bytes), default=None),
        device_bytes=max(
            (m.peak_device_bytes for m in measured if m.peak_device_bytes), default=None
        ),
        thread_cap=min(outcome.thread_cap for outcome in outcomes),
    )
