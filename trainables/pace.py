"""Blocks of steady speed from the points of a training: the start is left out. Pure."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """Steps that were done by a moment, both counted from the first point."""

    at_s: float
    steps: float


_STEADY = 1.05
_MOST_WARMUP = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A stretch of steady training."""

    seconds: float
    steps: float

    @property
    def speed(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds


class Pace:
    """Cuts a training's points into blocks, once it is warm.

    Intervals between points are left out at the start while each is faster than the one before,
    six at most: compiling, caches and first allocations are in them.
    """

    def __init__(self, block_s: float) -> None:
        self.has_begun = False
        """Whether there was a first point; what came before it was the start-up."""
        self.is_steady = False
        """Whether the warm-up is over; blocks come after that."""
        self.sizes: list[float] = []
        """The steps of each interval since then."""
        self.num_points = 0
        self.quantum = 0
        """The largest number that divides every interval's steps: the count moves by that much."""
        self._block_s = block_s
        self._previous = Point(0.0, 0.0)
        self._warm_speeds: list[float] = []
        self._seconds = self._steps = 0.0

    def hear(self, point: Point) -> Block | None:
        """Take in the next point; return the block that it ends, if it ends one."""
        seconds, steps = point.at_s - self._previous.at_s, point.steps - self._previous.steps
        self._previous = point
        self.num_points += 1
        self.quantum = math.gcd(self.quantum, round(steps))
        if not self.has_begun:
            self.has_begun = True
        elif not self.is_steady:
            self._warm_up(steps / seconds if seconds > 0 else 0.0)
        else:
            self.sizes.append(steps)
            self._seconds += seconds
            self._steps += steps
            if self._seconds >= self._block_s:
                block = Block(self._seconds, self._steps)
                self._seconds = self._steps = 0.0
                return block
        return None

    def _warm_up(self, speed: float) -> None:
        before = self._warm_speeds[-1:]
        self._warm_speeds.append(speed)
        is_enough = len(self._warm_speeds) >= _MOST_WARMUP
        self.is_steady = is_enough or any(speed <= _STEADY * other for other in before)
