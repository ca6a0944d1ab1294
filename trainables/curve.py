"""A learning curve as data: the return against the seconds of training. Stdlib only, pure."""

import bisect
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LearningGate:
    """A moment of training, and the return without which it ends there: it learns too slowly."""

    seconds: float
    least_return: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """A training from scratch: its seconds at most, the return that ends it, its gates, its seed.

    Seconds are of training alone: neither of compilation nor of evaluation. The workload has the
    seed among its options.
    """

    max_s: float
    target: float | None = None
    gates: tuple[LearningGate, ...] = ()
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """Points of one training from scratch, in order: `seconds` of training, `env_steps` done, and
    the mean return then.

    `held_out` says that the returns are of episodes that training never sees. `fell_behind` says
    that a gate ended it.
    """

    seconds: tuple[float, ...]
    env_steps: tuple[int, ...]
    returns: tuple[float, ...]
    held_out: bool = False
    fell_behind: bool = False

    def reached_s(self, level: float) -> float | None:
        """Return the seconds at which the return first was `level`; `None` if it never was.

        Between two points it is taken to rise in a straight line.
        """
        for place, value in enumerate(self.returns):
            if value >= level:
                if place == 0:
                    return self.seconds[0]
                before, since = self.returns[place - 1], self.seconds[place - 1]
                share = (level - before) / (value - before)
                return since + share * (self.seconds[place] - since)
        return None

    def best_until(self, seconds: float) -> float | None:
        """Return the highest return up to a moment; `None` before the first point."""
        number = bisect.bisect_right(self.seconds, seconds)
        return max(self.returns[:number], default=None)

    def mean_until(self, seconds: float) -> float:
        """Return the mean return over the training up to a moment: the area under the curve.

        The first point stands for what was before it, the last for what comes after it.
        """
        area, value, moment = 0.0, self.returns[0], 0.0
        for later, after in zip(self.seconds, self.returns, strict=True):
            end = min(later, seconds)
            if end > moment:
                reached = value + (after - value) * (end - moment) / (later - moment)
                area += 0.5 * (value + reached) * (end - moment)
                value, moment = reached, end
        return (area + value * (seconds - moment)) / seconds

    def final(self, seconds: float) -> float:
        """Return the mean over the last fifth of the seconds: one point is noisy."""
        first = 0.8 * seconds
        whole, before = self.mean_until(seconds), self.mean_until(first)
        return (seconds * whole - first * before) / (seconds - first)
