"""The words of the live table that are of all trials, though it shows only the last. Pure."""

from collections.abc import Sequence

from search_spaces.config import SIZES, Config
from tune.search.ended import Ended
from tune.search.trial import Trial


class Tally:
    """Counts over a growing search: each trial is read as it begins and as it ends, once."""

    def __init__(self) -> None:
        self.num_excluded = 0
        self._num_seen = 0
        self._fixed: Config = {}
        self._ended = Ended()
        self._best: tuple[float, int] | None = None

    @property
    def fixed(self) -> Config:
        """The values that all trials share, without those of `SIZES`, as `fixed_values`."""
        return self._fixed if self._num_seen > 1 else {}

    @property
    def best_number(self) -> int | None:
        """The number of the fastest measured trial."""
        return None if self._best is None else self._best[1]

    def read(self, trials: Sequence[Trial]) -> None:
        """Read what is new."""
        for trial in trials[self._num_seen :]:
            shared = self._fixed if self._num_seen else trial.config
            self._fixed = {
                name: value
                for name, value in shared.items()
                if name not in SIZES and trial.config.get(name) == value
            }
            self._num_seen += 1
        for trial in self._ended.since(trials):
            self.num_excluded += not trial.was_run
            if trial.measurement is not None:
                measured = trial.measurement.steps_per_second, trial.number
                self._best = measured if self._best is None else max(self._best, measured)
