"""The result of a search as data: trials with their outcomes, and the chosen configurations.

Stdlib only, pure. Screen, report and profiles read nothing else of a search.
"""

import collections
import dataclasses
import enum
import math
import statistics
from collections.abc import Mapping

from search_spaces.config import Config
from trainables.measurement import ENV_STEPS, Measurement, Outcome, OutcomeKind
from tune.search.learned import Judgement
from tune.search.trial import Trial

VAGUE = 0.1
"""The share, either way, from which on an interval tells little: `validate` takes as much for a
difference.
"""


class Kind(enum.StrEnum):
    """The aim that a chosen configuration is best at."""

    FASTEST = "fastest"
    BALANCED = "balanced"
    LEAN = "lean"
    LEARNING = "learning"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A log standard deviation between fresh processes, and the degrees of freedom behind it.

    `quantile` is Student's t for them, at 97.5 %.
    """

    sd: float
    dof: float
    quantile: float

    def half_width(self, num_processes: int, *, num_means: int = 1) -> float:
        """Return the half width of the 95 % interval of a log speed, a mean over processes.

        With `num_means` 2 it is that of the difference of two such means.
        """
        return self.quantile * self.sd * math.sqrt(num_means / num_processes)

    def half_width_of_next(self, num_next: int, num_processes: int) -> float:
        """Return the half width of the 95 % interval of the mean log speed of the next processes,
        about the mean of so many.
        """
        return self.quantile * self.sd * math.sqrt(1.0 / num_next + 1.0 / num_processes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One configuration and all that was measured of it, exploration and finals together.

    `steps_per_second` is the median over the processes that count (`num_processes` of them; finals
    alone once there are any, and of those the undisturbed). `low` and `high` are the widest
    interval that they and `noise_over_time` support; `noise` is that of processes which run close
    together. `rounds` are the speeds of the finals that count, by round, and `None` in a round
    without one. With `disturbed`, all of them were. `representative` is the latest of those
    processes; `soaks` are the measurements of its soaks: of one, and of another where that
    contradicts the finals.
    """

    config: Config
    steps_per_second: float
    low: float
    high: float
    num_processes: int
    confirmed: bool
    representative: Outcome
    device_bytes: int | None
    noise_scale: float | None
    noise: Noise
    noise_over_time: Noise
    rounds: tuple[float | None, ...] = ()
    disturbed: bool = False
    soaks: tuple[Measurement, ...] = ()

    @property
    def unit(self) -> str:
        """The name of what its speeds count, in the plural."""
        measured = self.representative.measurement
        return ENV_STEPS if measured is None else measured.unit

    @property
    def slower_soak(self) -> Measurement | None:
        """The soak, where it counts and ran slower than the other processes support."""
        speeds = self._soak_speeds
        if not speeds or statistics.geometric_mean(speeds) >= self.soak_range[0]:
            return None
        return self.soak

    @property
    def soak(self) -> Measurement | None:
        """The latest soak, an undisturbed one where there is any."""
        soaks = self._counted_soaks or self.soaks
        return soaks[-1] if soaks else None

    @property
    def soak_range(self) -> tuple[float, float]:
        """The speeds that the other processes support for the mean of the soaks.

        Few rounds that differ much support almost any; none that is clearly below all of theirs.
        """
        num_soaks = max(1, len(self._soak_speeds))
        side = math.exp(self.noise_over_time.half_width_of_next(num_soaks, self.num_processes))
        speed = self.steps_per_second
        slowest = min((final for final in self.rounds if final is not None), default=speed)
        clearly = math.exp(self.noise.half_width_of_next(num_soaks, 1))
        return max(min(self.low, speed / side), slowest / clearly), max(self.high, speed * side)

    @property
    def promised(self) -> float:
        """Env steps per second that training will get.

        It is the mean over the finals and the soak, which is one more fresh process, and the only
        one that did not help to choose this configuration: the best of several noisy figures is
        too high. Soaks that contradict the finals from below are promised in their place, those
        from above are left out.
        """
        if self.slower_soak is not None:
            return statistics.geometric_mean(self._soak_speeds)
        finals = (speed for speed in self.rounds if speed is not None)
        speeds = (*finals, *self._agreeing_soaks)
        return statistics.geometric_mean(speeds) if self.rounds else self.steps_per_second

    @property
    def promised_processes(self) -> int:
        """The number of fresh processes behind the promise."""
        if self.slower_soak is not None:
            return len(self._soak_speeds)
        return self.num_processes + (len(self._agreeing_soaks) if self.rounds else 0)

    @property
    def _counted_soaks(self) -> tuple[Measurement, ...]:
        undisturbed = tuple(soak for soak in self.soaks if not soak.disturbed)
        # Beside processes that were all disturbed, a soak that was is as good as they are.
        return undisturbed or (self.soaks if self.disturbed else ())

    @property
    def _soak_speeds(self) -> tuple[float, ...]:
        return tuple(soak.steps_per_second for soak in self._counted_soaks)

    @property
    def _agreeing_soaks(self) -> tuple[float, ...]:
        speeds, (low, high) = self._soak_speeds, self.soak_range
        return speeds if speeds and low <= statistics.geometric_mean(speeds) <= high else ()

    @property
    def promised_low(self) -> float:
        """The lower end of the promise's interval."""
        if self.slower_soak is None:
            return self.low
        soaks = self._counted_soaks
        side = math.exp(self.noise_over_time.half_width(len(soaks)))
        return min(self.promised / side, *(soak.low for soak in soaks))

    @property
    def vagueness(self) -> float | None:
        """The share by which the promise may be off, either way, where that is over `VAGUE`."""
        sides = self.promised - self.promised_low, self.high - self.promised
        share = max(sides) / self.promised
        return share if share > VAGUE else None

    @property
    def gpu_utilization(self) -> float | None:
        """NVML's percent in the representative process, `None` where it was not measured."""
        measured = self.representative.measurement
        return measured.gpu_utilization if measured else None


def winner_of(chosen: Mapping[Kind, Candidate], searched: Kind) -> Kind | None:
    """Return the kind that is the answer: the one that was searched, else the fastest.

    What learns fastest is not known before something was trained.
    """
    return next((kind for kind in (searched, Kind.FASTEST) if kind in chosen), None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The trials and the choice of a search. `chosen` is empty when nothing was feasible.

    `partial` says that the search was interrupted before its finals and soak were done;
    `stop_reason` says why exploring stopped. `judgement` is of a search for what learns fastest;
    `learner` is its best that met no limit since, whether its speed is measured or not.
    """

    trials: tuple[Trial, ...]
    chosen: dict[Kind, Candidate]
    baseline: Candidate | None
    stop_reason: str
    partial: bool
    wall_s: float
    judgement: Judgement | None = None
    learner: Config | None = None

    @property
    def outcome_counts(self) -> dict[OutcomeKind, int]:
        """The number of trials by outcome, the most frequent first."""
        kinds = [trial.kind for trial in self.trials if trial.kind is not None]
        return dict(collections.Counter(kinds).most_common())
