"""The return of a training, read from the lines that it prints. Stdlib only, pure."""

import collections
import dataclasses
import math
import statistics

from trainables.command.readings import ReturnLines, parse_figure

SMOOTHED_EPISODES = 20
"""The episodes of a mean, where a script prints a line for each: one return alone is noisy."""

_MEAN = "mean"


@dataclasses.dataclass(frozen=True, slots=True)
class MeanReturn:
    """A mean return; `of_few` has fewer episodes in it than a mean should."""

    value: float
    of_few: bool = False


class ReturnReader:
    """Reads the mean return from lines.

    Where each line has the return of one episode, it is the mean of the last 20 values. A script
    may print one or the other (CleanRL's do): the group `mean` of the pattern has what is one.
    """

    def __init__(self, lines: ReturnLines) -> None:
        self._pattern = lines.compiled()
        self._last = collections.deque[float](maxlen=SMOOTHED_EPISODES if lines.per_episode else 1)

    def hear(self, line: str) -> MeanReturn | None:
        """Return the mean return with the one that a line has; `None` for a line without one."""
        match = self._pattern.search(line)
        if match is None:
            return None
        is_mean = match.groupdict().get(_MEAN) is not None
        value = parse_figure(match[_MEAN if is_mean else 1] or "")
        if value is None or not math.isfinite(value):
            return None
        if is_mean:
            return MeanReturn(value)
        self._last.append(value)
        mean = statistics.fmean(self._last)
        return MeanReturn(mean, of_few=len(self._last) < (self._last.maxlen or 0))
