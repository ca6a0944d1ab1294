"""Steady-state speed: warm up, run blocks of updates, and stop when the median is known.

Pure but for the `run` and the `clock` that it is given: tests use a fake clock.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainables.sampling import Sampling, Throughput

RunUpdates = Callable[[int], None]
"""`run(num_updates)` trains, and returns when the device has finished."""
Clock = Callable[[], float]
"""Monotonic seconds."""

_WARMUP_S = 1.0
_WARMUP_RUN_S = 0.1
_STILL_IMPROVING = 0.95
_BLOCK_MARGIN = 1.02  # plan a little over: a block that ends early costs one more synchronisation
_NUM_RESAMPLES = 2000
_MIN_BLOCKS_TO_RESAMPLE = 3

MIN_QUIET_BLOCKS = 3
"""Fewer quiet blocks than these are no figure, if there were others: all count, with a mark."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """Seconds of the warm-up, and of one warm update."""

    num_updates: int
    duration_s: float
    update_s: float


def warm_up(run: RunUpdates, clock: Clock) -> Warmup:
    """Run updates until their speed no longer improves, at least two, for about a second at most.

    The first update allocates, and compiles what was not compiled before; it says nothing about the
    second. Then runs of 1, 2, 4, ... updates: one short update alone is too noisy to be compared.
    """
    started = clock()
    run(1)
    num_updates, previous_s, warm_started = 1, math.inf, clock()
    for size in (2**k for k in itertools.count()):
        run_started = clock()
        run(size)
        now = clock()
        num_updates += size
        update_s = (now - run_started) / size
        is_steady = now - run_started >= _WARMUP_RUN_S and update_s >= _STILL_IMPROVING * previous_s
        if is_steady or now - warm_started >= _WARMUP_S:
            break
        previous_s = update_s
    return Warmup(num_updates=num_updates, duration_s=now - started, update_s=update_s)


def measure(
    run: RunUpdates,
    *,
    clock: Clock,
    env_steps_per_update: int,
    update_s: float,
    sampling: Sampling,
    num_updates: int | None = None,
    disturbed: Callable[[], Sequence[bool]] | None = None,
    ends_at: float = math.inf,
) -> Iterator[Throughput]:
    """Yield the throughput after every block until it is known well enough, or time is up.

    The time between two blocks belongs to the caller and is in no block, but it does count against
    `max_measure_s`. A block is never cut short, so the last one may end past that cap.
    With `num_updates` it is a soak: exactly so many updates, fewer only if the cap comes first.

    `disturbed()` is asked after each block, which of all so far something beside the trial
    disturbed. They do not count while there are enough others, and their time is given again. After
    `max_disturbed_s` of them without enough others it ends: another time is better. No block but
    the first begins that would not end by the moment `ends_at`.
    """
    assert num_updates is None or num_updates > 0
    started = clock()
    speeds: list[float] = []
    seconds: list[float] = []
    done = 0
    while True:
        left = None if num_updates is None else num_updates - done
        block_updates, block_s = _run_block(run, clock, update_s, sampling.block_s, left)
        update_s = block_s / block_updates
        speeds.append(env_steps_per_update / update_s)
        seconds.append(block_s)
        done += block_updates
        were = [False] * len(speeds) if disturbed is None else disturbed()
        quiet = [speed for speed, was in zip(speeds, were, strict=True) if not was]
        noisy = [speed for speed, was in zip(speeds, were, strict=True) if was]
        disturbed_s = sum(spent for spent, was in zip(seconds, were, strict=True) if was)
        estimate = summarize(quiet, done, sampling, noisy=noisy)
        yield estimate
        spent_s = clock() - started
        if num_updates is not None:
            is_over = done >= num_updates or spent_s >= sampling.max_measure_s
        else:
            is_over = (
                estimate.converged
                or (estimate.disturbed and disturbed_s >= sampling.max_disturbed_s)
                or spent_s >= sampling.max_measure_s + min(disturbed_s, sampling.max_disturbed_s)
            )
        if is_over or clock() + block_s > ends_at:
            return


def _run_block(
    run: RunUpdates, clock: Clock, update_s: float, block_s: float, left: int | None
) -> tuple[int, float]:
    """Run for at least `block_s`, in one go where the plan holds; return updates and seconds."""
    done, elapsed_s = 0, 0.0
    started = clock()
    while done == 0 or (elapsed_s < block_s and done != left):
        size = plan_updates(update_s, block_s - elapsed_s, None if left is None else left - done)
        run(size)
        elapsed_s = clock() - started
        done += size
        update_s = elapsed_s / done
    return done, elapsed_s


def plan_updates(update_s: float, duration_s: float, left: int | None = None) -> int:
    """Return how many updates of `update_s` fill `duration_s`: at least one.

    If only `left` updates remain, the blocks share them evenly: a last block of a few would be
    noisy.
    """
    wanted = max(1, math.ceil(_BLOCK_MARGIN * duration_s / update_s))
    return wanted if left is None else math.ceil(left / max(1, left // wanted))


def summarize(
    quiet: Sequence[float], num_updates: int, sampling: Sampling, *, noisy: Sequence[float]
) -> Throughput:
    """Return the median of the blocks' speeds, its interval, and whether that is narrow enough.

    The blocks that something disturbed count only where the quiet ones are too few. The estimate is
    then `disturbed`, and never narrow enough.
    """
    is_disturbed = bool(noisy) and len(quiet) < MIN_QUIET_BLOCKS
    speeds = [*quiet, *noisy] if is_disturbed else quiet
    low, high = median_interval(speeds)
    median = float(np.median(speeds))
    half_width = (high - low) / 2
    return Throughput(
        steps_per_second=median,
        low=low,
        high=high,
        converged=not is_disturbed
        and len(speeds) >= sampling.min_blocks
        and half_width < sampling.relative_half_width * median,
        num_blocks=len(speeds),
        num_updates=num_updates,
        disturbed=is_disturbed,
        num_disturbed_blocks=len(noisy),
        disturbed_per_second=float(np.median(noisy)) if noisy and not is_disturbed else None,
    )


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the percentile bootstrap's 95 % interval of the median.

    It is seeded, so the same blocks give the same interval. With one or two blocks it is their
    range; up to five blocks the bootstrap gives the range too. It covers the noise within this
    process and this stretch of time. It does not cover another process, or a machine that runs
    slower for ten seconds. That is why finalists are measured again, side by side.
    """
    if len(values) < _MIN_BLOCKS_TO_RESAMPLE:
        return float(min(values)), float(max(values))
    data = np.asarray(values, dtype=float)
    low, high = np.quantile(np.median(data[_picks(len(data))], axis=1), (0.025, 0.975))
    return float(low), float(high)


def mean_interval(steps: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Return the same interval of the mean, which is all blocks' steps over all their seconds."""
    if len(steps) < _MIN_BLOCKS_TO_RESAMPLE:
        speeds = [some / spent for some, spent in zip(steps, seconds, strict=True)]
        return min(speeds), max(speeds)
    picks = _picks(len(steps))
    of_steps, of_seconds = (np.asarray(values, dtype=float)[picks] for values in (steps, seconds))
    means = of_steps.sum(axis=1) / of_seconds.sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _picks(num_blocks: int) -> np.ndarray:
    """Return the blocks of each resample: resamples x blocks."""
    return np.random.default_rng(0).integers(0, num_blocks, size=(_NUM_RESAMPLES, num_blocks))
