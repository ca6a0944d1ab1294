"""Trials that count how often one of them is read."""

from collections.abc import Sequence
from typing import overload

from tune.search.trial import Trial


class CountedTrials(Sequence[Trial]):
    """A sequence of trials that counts its reads."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self.num_read = 0

    def __len__(self) -> int:
        return len(self._trials)

    @overload
    def __getitem__(self, place: int) -> Trial: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Trial]: ...
    def __getitem__(self, place: int | slice) -> Trial | Sequence[Trial]:
        found = self._trials[place]
        self.num_read += 1 if isinstance(found, Trial) else len(found)
        return found
