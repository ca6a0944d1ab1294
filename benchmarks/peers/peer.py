"""A peer: a search that ours is compared with, one trial at a time.

A peer sees the space as whole numbers, the positions along each axis: powers of two are neighbours
for all of them. It may ask for sizes that do not divide; it is told so at once and without cost.
"""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from benchmarks.recorded import ConfigValues
from benchmarks.replay import Replay

Coordinates = tuple[int, ...]
"""Positions along the axes that have more than one value."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """Result of a trial: its speed in env steps per second, `None` if it did not fit.

    `excess` is log2(need / budget), `None` where the sizes do not divide: then nothing ran.
    """

    steps_per_second: float | None
    excess: float | None
    wall_s: float


class Peer(Protocol):
    """A search, one trial at a time."""

    def ask(self) -> Coordinates | None:
        """Return the coordinates to measure next; `None` at the end of the search."""

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Take the result at these coordinates."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerGrid:
    """A replay's space as a peer sees it: the number of values per axis, and the valid places."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    by_position: Mapping[Coordinates, ConfigValues]
    baseline: Coordinates

    @classmethod
    def of(cls, replay: Replay) -> "PeerGrid":
        """Build it from the axes that have more than one value."""
        axes = replay.space.axes
        varying = [number for number, axis in enumerate(axes) if len(axis.values) > 1]

        def position(config: ConfigValues) -> Coordinates:
            return tuple(axes[number].values.index(config[number]) for number in varying)

        baseline = tuple(replay.baseline[axis.name] for axis in axes)
        return cls(
            names=tuple(axes[number].name for number in varying),
            sizes=tuple(len(axes[number].values) for number in varying),
            by_position={position(config): config for config in replay.points},
            baseline=position(baseline),
        )
