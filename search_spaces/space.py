"""A search space as data: named axes with their values, and the valid configurations.

Pure. Axes are ordered integers; searching happens in their exponents (log2), where "half as many
environments" is the same step everywhere.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from cluster.errors import UserError
from search_spaces.config import config_violation


class SpaceError(UserError):
    """A space that the person asked for cannot be searched."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One tunable integer and the values it may take, ascending."""

    name: str
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values or list(self.values) != sorted(set(self.values)) or self.values[0] < 1:
            raise SpaceError(
                f"axis {self.name} needs distinct positive whole numbers, got {list(self.values)}."
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """The product of its axes, without configurations that do not divide into minibatches."""

    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The axes' names, in order."""
        return tuple(axis.name for axis in self.axes)

    def configurations(self) -> Iterator[dict[str, int]]:
        """Yield every valid configuration; the first axis varies slowest."""
        for values in itertools.product(*(axis.values for axis in self.axes)):
            config = dict(zip(self.names, values, strict=True))
            if config_violation(config) is None:
                yield config

    def exponents(self, config: Mapping[str, int]) -> tuple[float, ...]:
        """Return the configuration's coordinates as log2 per axis: one unit is one doubling."""
        return tuple(math.log2(config[axis.name]) for axis in self.axes)

    def override(self, assignments: Sequence[str]) -> "SearchSpace":
        """Return a space with axes replaced or added by `name=8`, `name=8,16,24` or `name=8:64`.

        Raises:
            SpaceError: if an assignment does not read like one of these, or nothing is left.
        """
        axes = {axis.name: axis for axis in self.axes}
        for assignment in assignments:
            axis = parse_axis(assignment)
            axes[axis.name] = axis
        space = SearchSpace(axes=tuple(axes.values()))
        if next(space.configurations(), None) is None:
            raise SpaceError(
                f"no configuration of this space divides into minibatches: {space.describe()}; "
                "batch_size must divide num_envs * num_steps for at least one combination."
            )
        return space

    def describe(self) -> str:
        """Return one line: each axis with its values."""
        return "; ".join(f"{axis.name} {_values_in_words(axis.values)}" for axis in self.axes)


def parse_axis(assignment: str) -> Axis:
    """Read `name=8`, `name=8,16,24` or `name=8:64`, the last doubling from 8 up to 64.

    Raises:
        SpaceError: naming what was got and the three forms.
    """
    name, equals, text = assignment.partition("=")
    try:
        if not (equals and name.strip().isidentifier()):
            raise ValueError(assignment)
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            values = doubling(first, last)
        else:
            values = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise SpaceError(
            f"--space {assignment!r} is not an axis; write num_envs=256, num_envs=256,512 "
            "or num_envs=64:1024 (doubling)."
        ) from error
    return Axis(name=name.strip(), values=values)


def doubling(first: int, last: int) -> tuple[int, ...]:
    """Return `first, 2 * first, ...`, none above `last`.

    Raises:
        ValueError: if there is no such value.
    """
    if not 0 < first <= last:
        raise ValueError(f"{first}:{last}")
    values = [first]
    while values[-1] * 2 <= last:
        values.append(values[-1] * 2)
    return tuple(values)


def _values_in_words(values: tuple[int, ...]) -> str:
    if len(values) > 2 and values == doubling(values[0], values[-1]):
        return f"{values[0]}..{values[-1]}"
    return ",".join(str(value) for value in values)
