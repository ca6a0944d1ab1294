"""The sampling of a speed: its rules, and what they found. Stdlib only, pure."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The rules of sampling a throughput, until it is known well enough.

    A trial is measured in blocks of at least `block_s` seconds until the 95 % interval's half-width
    falls under `relative_half_width` of the median (never before `min_blocks`), or until
    `max_measure_s` has passed; the measurement then has `converged=False`. Blocks that something
    beside the trial disturbed are measured again, for at most `max_disturbed_s` more; with nothing
    but such blocks in that time, the trial ends.
    """

    block_s: float = 0.5
    relative_half_width: float = 0.02
    min_blocks: int = 5
    max_measure_s: float = 15.0
    max_disturbed_s: float = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Speed over all blocks so far, in env steps per second of wall time.

    `steps_per_second` is the median over blocks, `low` and `high` its bootstrap 95 % interval.
    Of a count that moves by a clock, or within updates, both are of the mean.
    Blocks that something beside the trial disturbed, `num_disturbed_blocks`, do not count. Where
    too few others are left, all count, and the figure is `disturbed`. `disturbed_per_second` is the
    median of those that do not count.
    """

    steps_per_second: float
    low: float
    high: float
    converged: bool
    num_blocks: int
    num_updates: int
    disturbed: bool = False
    num_disturbed_blocks: int = 0
    disturbed_per_second: float | None = None
