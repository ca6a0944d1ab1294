"""A search after the public description of PufferLib's Protein."""

import numpy as np

from benchmarks.peers.peer import Coordinates, PeerGrid, PeerResult
from tune.memory.model import Array
from tune.search import sampler


class ProteinLike:
    """A search after the public description of PufferLib's Protein; PufferLib does not build here.

    Random trials first. Then candidates are drawn around the Pareto front of score and cost; one
    Gaussian process predicts their scores, another their log costs; a cost is drawn at random, and
    the candidate with the best score weighted by its nearness to that cost is next. Failures are
    not modelled.
    """

    _NUM_RANDOM = 10
    _NUM_CANDIDATES = 256

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        self._sizes = np.array(grid.sizes)
        self._rng = np.random.default_rng(seed)
        self._seen: list[tuple[Coordinates, float, float]] = []
        self._num_told = 0

    def ask(self) -> Coordinates | None:
        """Return random coordinates, or the best of those around the front."""
        if self._num_told < self._NUM_RANDOM or len(self._seen) < 2:
            return self._position(self._rng.uniform(0, self._sizes - 1))
        front = self._front()
        picks = self._rng.integers(len(front), size=self._NUM_CANDIDATES)
        centers = np.array([front[index] for index in picks])
        steps = self._rng.normal(0.0, 0.25, size=centers.shape) * (self._sizes - 1)
        candidates = np.clip(np.rint(centers + steps), 0, self._sizes - 1)
        scores = self._predict(candidates, [speed for _, speed, _ in self._seen])
        costs = self._predict(candidates, [cost for _, _, cost in self._seen])
        nearness = 1.0 - np.abs(self._rng.uniform() - _unit(costs))
        return self._position(candidates[int(np.argmax(_unit(scores) * nearness))])

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Add the result to both models; failures are left out."""
        self._num_told += result.excess is not None
        if result.steps_per_second is not None:
            self._seen.append((position, result.steps_per_second, result.wall_s))

    def _front(self) -> list[Coordinates]:
        front, best = [], 0.0
        for position, speed, _ in sorted(self._seen, key=lambda item: (item[2], -item[1])):
            if speed > best:
                front.append(position)
                best = speed
        return front

    def _predict(self, candidates: Array, values: list[float]) -> Array:
        observations = sampler.Observations(
            points=np.array([position for position, _, _ in self._seen], dtype=float),
            scores=np.array(values),
            feasible=np.ones(len(values), dtype=np.bool_),
        )
        return sampler.fit(candidates, observations, self._rng).mean

    def _position(self, values: Array) -> Coordinates:
        return tuple(int(value) for value in np.rint(values))


def _unit(values: Array) -> Array:
    spread = float(values.max() - values.min())
    return np.asarray((values - values.min()) / (spread or 1.0))
