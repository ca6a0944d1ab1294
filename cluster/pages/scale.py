"""Scales from values to places on an axis, with ticks at round values. Pure.

A place is a share of the axis: 0.0 at its start, 1.0 at its end.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

_MOST_TICKS = 6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A linear scale with a tick every `step`."""

    low: float
    high: float
    step: float

    @classmethod
    def over(
        cls, values: Iterable[float], *, from_zero: bool = False, whole: bool = False
    ) -> "Linear":
        """Return the scale over all of `values`, from tick to tick; `whole` for counted things."""
        known = [*values, *([0.0] if from_zero else [])]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if low == high:
            low, high = low - (0.0 if from_zero else 0.5), high + 0.5
        step = _nice((high - low) / (_MOST_TICKS - 1))
        if whole:
            step = max(1.0, step)
        return cls(low=math.floor(low / step) * step, high=math.ceil(high / step) * step, step=step)

    def place(self, value: float) -> float:
        """Return the place of `value`."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return the values to label."""
        count = round((self.high - self.low) / self.step)
        return [self.low + index * self.step for index in range(count + 1)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A logarithmic scale, whose ticks are powers of `base`."""

    low: float
    high: float
    base: int

    @classmethod
    def over(cls, values: Iterable[float], *, base: int) -> "Log":
        """Return the scale over all of `values`, which are positive, from power to power."""
        known = list(values) or [1.0]
        # Rounded first: log(1000, 10) is 2.9999999999999996.
        low = math.floor(round(math.log(min(known), base), 9))
        high = math.ceil(round(math.log(max(known), base), 9))
        return cls(low=float(base) ** low, high=float(base) ** max(high, low + 1), base=base)

    def place(self, value: float) -> float:
        """Return the place of `value`."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return the values to label."""
        count = round(math.log(self.high / self.low, self.base))
        stride = math.ceil(count / _MOST_TICKS)
        return [self.low * self.base**power for power in range(0, count + 1, stride)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ordinal:
    """A scale of names: a value is a name's index and lies in the middle of its stripe."""

    names: Sequence[str]

    def place(self, value: float) -> float:
        """Return the place of the name of that index."""
        return (value + 0.5) / len(self.names)

    def ticks(self) -> list[float]:
        """Return the indices of all names."""
        return [float(index) for index in range(len(self.names))]


Scale = Linear | Log | Ordinal


def short(value: float) -> str:
    """Return a tick's label: `0`, `950`, `20 K`, `1.5 M`, `2 B`."""
    for size, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " K")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:.6g}"


def _nice(step: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if step <= factor * power * (1 + 1e-9))
