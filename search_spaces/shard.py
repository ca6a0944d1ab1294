"""Parts of a space, for one search over several machines of a class. Pure.

Each machine explores a part, and one of them runs the finals.
"""

import dataclasses
import re

from search_spaces.config import Config
from search_spaces.space import SearchSpace, SpaceError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part `number` of `count`, counted from 1. Parts are disjoint; together they are the space."""

    number: int
    count: int

    def contains(self, space: SearchSpace, config: Config) -> bool:
        """Return whether a configuration is of this part.

        Neighbours along every axis are of different parts, like the colours of a chessboard, so
        each part has large and small values of every axis, and a model of it fits the others too.
        """
        steps = sum(axis.values.index(config[axis.name]) for axis in space.axes)
        return steps % self.count == self.number - 1

    def max_runs(self, total: int) -> int:
        """Return this part's share of the runs.

        Raises:
            SpaceError: if nothing is left for it.
        """
        share = total // self.count + (self.number <= total % self.count)
        if share < 1:
            raise SpaceError(f"--max-runs {total} is too few for {self.count} parts.")
        return share


def parse_shard(text: str) -> Shard:
    """Read `1/2`.

    Raises:
        SpaceError: if it reads otherwise.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise SpaceError(f"--shard is a part of parts, such as 1/2 and 2/2, got {text!r}.")
    return Shard(number=number, count=count)
