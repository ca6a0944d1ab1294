"""Peers without a model: random search, and doubling as a person does it."""

import numpy as np

from benchmarks.peers.peer import Coordinates, PeerGrid, PeerResult


class Random:
    """Random search without repeats."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        positions = list(grid.by_position)
        order = np.random.default_rng(seed).permutation(len(positions))
        self._waiting = [positions[index] for index in order]

    def ask(self) -> Coordinates | None:
        """Return the next of a shuffled list."""
        return self._waiting.pop() if self._waiting else None

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Do nothing: nothing is learned."""


class Doubling:
    """Doubling as a person does it: num_envs from the default until it fails, the rest kept."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        self._axis = grid.names.index("num_envs")
        self._last = grid.sizes[self._axis] - 1
        self._next: Coordinates | None = grid.baseline

    def ask(self) -> Coordinates | None:
        """Return the default, then twice as many environments each time."""
        return self._next

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Go on while it fits and there is more."""
        value = position[self._axis]
        if result.steps_per_second is None or value == self._last:
            self._next = None
        else:
            self._next = (*position[: self._axis], value + 1, *position[self._axis + 1 :])
