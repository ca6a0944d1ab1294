"""Learning as data: how it is planned, and what trainings from scratch told. Stdlib only, pure."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from search_spaces.config import Config, adds_variables
from trainables.curve import LearningCurve
from tune.search.trial import EXPLORING, Trial

_LEAST_TRAINING_S = 10.0
LEAST_COMPARED = 2
"""The trainings of the last round, and those that come before finals though time is short."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LearningPlan:
    """The rounds of trainings: successive halving, in which each round is one seed more.

    `training_s` is what one training may take, without compilation; `None` for as much as makes
    learning about as long as exploring was. `planned_s` is the length of the training that the
    search is for: compilation is spread over it.
    """

    num_seeds: int = 3
    training_s: float | None = None
    target: float | None = None
    planned_s: float = 36_000.0
    num_first: int = 15

    @property
    def rounds(self) -> tuple[int, ...]:
        """The configurations that train with each seed: half of those of the seed before it.

        The last round compares two at least.
        """
        halves = (self.num_first // 2**number for number in range(self.num_seeds))
        return tuple(max(LEAST_COMPARED, number) for number in halves)

    @property
    def num_trainings(self) -> int:
        """The trainings that it takes at most."""
        return sum(self.rounds)

    def longest_s(self, trials: Sequence[Trial]) -> float:
        """Return the seconds that one training may take."""
        if self.training_s is not None:
            return self.training_s
        ends_early = 2.0 if self.target is not None else 1.0  # most reach it before their time
        return max(_LEAST_TRAINING_S, ends_early * explored_s(trials) / self.num_trainings)

    def budget_s(self, trials: Sequence[Trial]) -> float:
        """Return the wall seconds that all trainings may take beyond their rounds: as much as was
        asked for, else as much as exploring took.
        """
        if self.training_s is not None:
            return self.num_trainings * self.training_s
        return explored_s(trials)


def explored_s(trials: Sequence[Trial]) -> float:
    """Return the wall seconds of the trials that explored."""
    return sum(t.outcome.wall_s for t in trials if t.outcome is not None and t.stage in EXPLORING)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The learning of one configuration, over its seeds.

    `seconds` are those of each seed to the target, compilation included as far as it counts; `None`
    where it was not reached. `finals` are the returns after the same time, each a mean over the
    last fifth of it; `areas` are the mean returns on the way there. `value` is higher for what
    learns faster: minus the mean log seconds, or the mean of the finals; `error` is its standard
    error. `expected` are the log seconds to a level that are expected of it, by its own seeds and
    by what others like it took. `steps_per_second` is the speed of the latest training, and
    `env_steps_per_update` are the samples of its updates. `training_s` is what each had at most.
    `stretch` is how many times as long a training takes with its compilation, spread over the
    planned one.
    """

    config: Config
    curves: tuple[LearningCurve, ...]
    seconds: tuple[float | None, ...]
    finals: tuple[float, ...]
    areas: tuple[float, ...]
    value: float
    steps_per_second: float
    env_steps_per_update: int
    training_s: float
    stretch: float = 1.0
    error: float = math.inf
    expected: float = math.inf

    @property
    def num_seeds(self) -> int:
        """The trainings from scratch."""
        return len(self.curves)

    @property
    def num_missed(self) -> int:
        """The seeds that did not reach the target."""
        return sum(seconds is None for seconds in self.seconds)

    @property
    def final_returns(self) -> tuple[float | None, ...]:
        """The finals of the seeds; `None` for one that reached the target, where it ended."""
        seeds = zip(self.finals, self.seconds, strict=True)
        return tuple(final if seconds is None else None for final, seconds in seeds)

    @property
    def waited_s(self) -> float:
        """The longest training of a seed that did not reach the target; 0 if all did."""
        seeds = zip(self.seconds, self.curves, strict=True)
        return max((curve.seconds[-1] for s, curve in seeds if s is None), default=0.0)

    @property
    def typical_s(self) -> float | None:
        """The geometric mean of the seconds to the target; `None` if a seed did not reach it."""
        known = [seconds for seconds in self.seconds if seconds is not None]
        return statistics.geometric_mean(known) if len(known) == len(self.seconds) else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that trained, the best first; those with fewer seeds come behind those with more.

    `by_target` says whether the seconds to the target order them; else it is the returns after
    `training_s`. `tied` are those that the seeds cannot tell from the best. `quantile` is Student's
    t at 97.5 %, for intervals. `unit` is the difference of two values that counts as one: of log
    seconds 1, of returns what the best has learned.
    """

    learned: tuple[Learned, ...]
    target: float | None
    by_target: bool
    training_s: float
    tied: tuple[Learned, ...]
    quantile: float
    unit: float = 1.0

    @property
    def best(self) -> Learned:
        """The one to train with."""
        return self.learned[0]

    def of(self, config: Config) -> Learned | None:
        """Return what a configuration learned, if it trained; with a lever, what it did without."""
        for one in self.learned:
            if one.config == config or adds_variables(config, one.config):
                return one
        return None

    def side(self, one: Learned, other: Learned) -> float:
        """Return the half width of the 95 % interval of the difference of two values."""
        return self.quantile * math.hypot(one.error, other.error)

    def sooner(self, one: Learned, other: Learned) -> tuple[float, float, float]:
        """Return how many times as long the other takes to the target, with the 95 % interval."""
        difference, side = one.value - other.value, self.side(one, other)
        return math.exp(difference), math.exp(difference - side), math.exp(difference + side)
