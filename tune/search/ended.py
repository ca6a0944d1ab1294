"""The trials of a growing search that ended since somebody last looked. Stdlib only, pure."""

from collections.abc import Sequence

from tune.search.trial import Trial


class Ended:
    """One reader's place: it looks at trials that are new or ran when it last looked, and at no
    others, however many there are.
    """

    def __init__(self) -> None:
        self._num_seen = 0
        self._running: list[int] = []  # their places

    def since(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return those that ended since the last call, by number."""
        places = [*self._running, *range(self._num_seen, len(trials))]
        self._num_seen = len(trials)
        self._running = [place for place in places if trials[place].outcome is None]
        return [trials[place] for place in places if trials[place].outcome is not None]
