"""The GPUs of a host against each other, by the baseline that each ran. Stdlib only, pure.

GPUs of one kind differ by some percent, and one that is hot, held back or shared by far more.
Exploring runs on all of them, so its speeds are compared as if all were alike; so do finals that
run side by side.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from search_spaces.config import DEVICES, Config
from trainables.measurement import Measurement
from tune.search.trial import EXPLORING, Stage, Trial

HostGpu = tuple[str | None, str]
"""The source of a trial, `None` for this host, and the name of a GPU there."""

_SLOW = 0.9
"""A GPU is clearly slow below this share of the typical speed. Healthy ones differ by less: over
processes of one H100, speeds differ by 0.3 % (benchmarks/gpu), hosts of one class by 8 %.
"""


def relative_speeds(trials: Iterable[Trial]) -> dict[HostGpu, float]:
    """Return the speed of each GPU that ran the baseline, as a share of its host's typical GPU's.

    The typical one is the median, of two the faster. Where one alone ran it there is none.
    """
    return _relative(_measured(baselines(trials)))


def _measured(explored: Mapping[HostGpu, Trial]) -> dict[HostGpu, Measurement]:
    return {gpu: one.measurement for gpu, one in explored.items() if one.measurement is not None}


def _relative(measured: Mapping[HostGpu, Measurement]) -> dict[HostGpu, float]:
    relative: dict[HostGpu, float] = {}
    for source in {source for source, _ in measured}:
        speeds = {gpu: one.steps_per_second for gpu, one in measured.items() if gpu[0] == source}
        typical = statistics.median_high(speeds.values())
        if len(speeds) > 1:
            relative |= {gpu: speed / typical for gpu, speed in speeds.items()}
    return relative


def relative_speed(
    trial: Trial, relative: Mapping[HostGpu, float], *, of_finals: float | None = None
) -> float:
    """Return the relative speed of the GPU that a trial explored on; of several, all wait for the
    slowest. That of a final or a soak is a share of `of_finals`, if it is given. It is 1 for all
    else.
    """
    if trial.stage in EXPLORING:
        return slowest(trial, relative)
    if trial.stage in {Stage.FINAL, Stage.SOAK} and of_finals is not None:
        return slowest(trial, relative) / of_finals
    return 1.0


def of_finals(trials: Iterable[Trial], relative: Mapping[HostGpu, float]) -> float | None:
    """Return the relative speed where the first final ran: what else is compared, is with it.

    Unless finals run side by side, all of that ran there.
    """
    first = next((one for one in trials if one.stage is Stage.FINAL and one.outcome), None)
    return None if first is None else slowest(first, relative)


def slowest(trial: Trial, relative: Mapping[HostGpu, float]) -> float:
    """Return the relative speed of the slowest GPU that a trial ran on; 1 where none is known."""
    names = () if trial.outcome is None else trial.outcome.gpus
    return slowest_of(names, relative, source=trial.source)


def slowest_of(
    names: Iterable[str], relative: Mapping[HostGpu, float], *, source: str | None = None
) -> float:
    """Return the relative speed of the slowest of GPUs of one host; 1 where none is known."""
    return min((relative.get((source, name), 1.0) for name in names), default=1.0)


def is_to_compare(trials: Iterable[Trial], baseline: Config, num_gpus: int) -> bool:
    """Return whether the baseline is next on a further GPU: on each once, after it has begun.

    One that met a limit of the machine, or was not run for it, would meet it on all. A training on
    several GPUs needs all of them, whichever is slower.
    """
    if num_gpus < 2:
        return False
    own = [trial for trial in trials if trial.source is None]
    begun = [trial for trial in own if trial.stage is Stage.BASELINE]
    if any(trial.kind is not None and trial.kind.is_limit for trial in begun):
        return False
    stages = [trial.stage for trial in own]
    num_begun = stages.count(Stage.BASELINE) and 1 + stages.count(Stage.GPU)
    return 0 < num_begun < num_gpus and DEVICES not in baseline


def slow(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the relative speeds of this host's GPUs that are clearly slower than the others."""
    measured = _measured(baselines(trials))
    return {
        name: share
        for (source, name), share in _relative(measured).items()
        if source is None and share * _side(measured[source, name]) < _SLOW
    }


def _side(measured: Measurement) -> float:
    """Return how far up the interval of a speed reaches, as a factor."""
    return measured.high / measured.steps_per_second


def left_out(gpu: str, share: float) -> str:
    """Return the sentence for a person that a slow GPU is left out."""
    return (
        f"GPU {gpu} ran the baseline at {share:.2f} x the speed of the others: it is left out. Is "
        "it hot, held back, or used by another program?"
    )


def baselines(trials: Iterable[Trial]) -> dict[HostGpu, Trial]:
    """Return the undisturbed trial by which each GPU explored the baseline."""
    found: dict[HostGpu, Trial] = {}
    baseline, gpu = Stage.BASELINE, Stage.GPU  # looked up once: there may be thousands of trials
    for trial in trials:
        if trial.stage is not baseline and trial.stage is not gpu:
            continue
        if trial.measurement is None or trial.is_disturbed:
            continue
        if trial.outcome is not None and len(trial.outcome.gpus) == 1:
            found.setdefault((trial.source, trial.outcome.gpus[0]), trial)
    return found
