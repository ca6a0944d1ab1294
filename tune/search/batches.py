"""Batches of suggestions, for searches over so many GPUs that one at a time would hold them up."""

from collections.abc import Callable

import numpy as np

from search_spaces.config import Config
from tune.search import explore, sampler
from tune.search.problem import Explored
from tune.search.trial import Stage

_SHARE = 8
"""A batch is for one in so many of the GPUs: what is told while it lasts is little beside what all
those that run will tell. Searches over less than twice as many GPUs have no batches.
"""


class Batches:
    """Suggestions that are chosen together for a part of the GPUs, and given one by one.

    One that follows shortly after another rests on what was known then. What is given was not tried
    by then, and nothing is given twice. A batch ends early when as many trials as are in it have
    ended since.
    """

    def __init__(self, num_parallel: int) -> None:
        self._size = max(1, num_parallel // _SHARE)
        self._left: list[Config] = []
        self._num_told = 0  # since the batch was chosen
        self._known: Explored | None = None
        self._stage = Stage.SEARCH
        self._kernel: sampler.Kernel | None = None

    def told(self) -> None:
        """Take note of a trial that has ended."""
        self._num_told += 1

    def propose(
        self, know: Callable[[], Explored], rng: np.random.Generator
    ) -> tuple[Explored, tuple[Stage, Config] | None]:
        """Return a configuration to try with its stage, if any is left, and what that rests on."""
        known = self._known
        if known is None or not self._left or self._num_told >= self._size:
            known = know()
            batched = self._size > 1
            proposed = explore.propose_batch(known, rng, self._size, self._kernel)
            if proposed is None:
                return known, None
            self._known, self._num_told = known, 0
            self._stage, self._left = proposed.stage, proposed.configs
            self._kernel = proposed.kernel if batched else None
        return known, (self._stage, self._left.pop(0))
