"""A model of progress per second: how soon a configuration learns, by what others took. Pure.

    seconds to a level = K / speed x (1 + B / B0) x (1 + N / N0)

A gradient step on B samples makes 1 / (1 + B0 / B) of the progress of a noiseless one, so progress
per sample falls as 1 / (1 + B / B0) (McCandlish et al. 2018, arXiv:1812.06162, eq. 2.7). The N
samples of an update are all of one policy, and an update moves it by so much at most, however many
they are: their worth is taken to fall in the same form. K, B0 and N0 are fitted to trainings. What
the form leaves over, as of other axes, a Gaussian process takes up.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.spatial.distance import cdist

from search_spaces.config import Config
from search_spaces.space import SearchSpace, spanned_by
from tune.memory.model import Array
from tune.search.objective import SAMPLE_SCALES
from tune.search.sampler import expected_lead

SEED_SD = 0.45
"""Log standard deviation of the seconds to a level between seeds, before any was seen.

It is 0.27, 0.25 and 0.41 on the landscapes of benchmarks/learning, of the seeds that got there. On
the way there it is 0.18, 0.24 and 0.42, of the configurations that are close to the best.
"""

_B0 = tuple(2.0**power for power in range(5, 19))
_SIZES = ("num_envs", "vectorized_envs", "num_steps")
_LEFT_OVER_SD, _LEFT_OVER_DOUBLINGS = 0.4, 3.0
_VAGUE_SD = 10.0  # of K, which nothing is known of
_SQRT3 = math.sqrt(3.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A configuration, its mean log seconds over seeds and over levels on the way, its env steps
    per second, and the samples of its updates.
    """

    config: Config
    log_seconds: float
    num_seeds: int
    speed: float
    samples: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Log seconds of [m] configurations for each pair of scales [m, g], with the pairs' weights [g]
    and the standard deviation [m]; `best` is the least that is expected of a trained one.
    """

    means: Array
    weights: Array
    std: Array
    best: float

    @property
    def mean(self) -> Array:
        """The mean over the scales, [m]."""
        return np.asarray(self.means @ self.weights)

    @property
    def improvement(self) -> Array:
        """The expected improvement on the best in log seconds, [m] (Jones et al. 1998)."""
        return np.asarray(expected_lead(self.best - self.means, self.std[:, None]) @ self.weights)


def predict(
    space: SearchSpace, trained: Sequence[Trained], configs: Sequence[Config], speeds: Array
) -> Prediction:
    """Predict the log seconds of `configs` [m] with env steps per second `speeds` [m].

    Raises:
        ValueError: if nothing was trained.
    """
    if not trained:
        raise ValueError("nothing was trained yet.")
    own = [one.config for one in trained]
    points, seen = _points(space, configs), _points(space, own)
    left_over = _LEFT_OVER_SD**2 * _matern(seen, seen) + _VAGUE_SD**2
    noise = [SEED_SD**2 / one.num_seeds for one in trained]
    factor = np.linalg.cholesky(left_over + np.diag(noise))
    samples = _samples_by(trained)
    rest = _rest(own, np.array([one.speed for one in trained]), samples)
    residual = np.array([one.log_seconds for one in trained])[:, None] - rest
    solved = cho_solve((factor, True), residual)
    log_weights = -0.5 * np.einsum("ng,ng->g", residual, solved)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    cross = _LEFT_OVER_SD**2 * _matern(points, seen) + _VAGUE_SD**2
    reduction = solve_triangular(factor, cross.T, lower=True)
    variance = _LEFT_OVER_SD**2 + _VAGUE_SD**2 - np.square(reduction).sum(axis=0)
    at_seen = (rest + left_over @ solved) @ weights
    return Prediction(
        means=_rest(configs, speeds, samples) + cross @ solved,
        weights=weights,
        std=np.sqrt(np.maximum(variance, 1e-6)),
        best=float(at_seen.min()),
    )


def expected(trained: Sequence[Trained]) -> Array:
    """Return the log seconds that are expected of each that trained [n], its own seeds included.

    Seeds of one configuration often differ by more than configurations that are alike.
    """
    configs = [one.config for one in trained]
    speeds = np.array([one.speed for one in trained])
    return predict(spanned_by(configs), trained, configs, speeds).mean


def times_as_long(
    config: Config, speed: float, other: Config, other_speed: float, *, noise_scale: float | None
) -> float:
    """Return how many times as long a configuration learns as another, where none was trained.

    It is the mean (of logs) over all scales that are possible. The gradient noise scale stands for
    B0, where it was measured.
    """
    speeds = np.array([speed, other_speed])
    one, two = _rest([config, other], speeds, _product, b0=noise_scale)
    return float(np.exp(np.mean(one - two)))


def _rest(
    configs: Sequence[Config],
    speeds: Array,
    samples_of: Callable[[Config], float],
    *,
    b0: float | None = None,
) -> Array:
    """Return the log seconds without K, for each pair of scales: [m, g]."""
    batch = np.array([_of(config, "batch_size") for config in configs])
    samples = np.array([samples_of(config) for config in configs])
    pairs = np.array(list(itertools.product(_B0 if b0 is None else (b0,), SAMPLE_SCALES)))
    by_scales = np.log1p(batch[:, None] / pairs[:, 0]) + np.log1p(samples[:, None] / pairs[:, 1])
    return np.asarray(by_scales - np.log(speeds)[:, None])


def _samples_by(trained: Sequence[Trained]) -> Callable[[Config], float]:
    """Return a function for the samples of an update, by those of what was trained."""
    ratio = statistics.median(one.samples / _product(one.config) for one in trained)
    return lambda config: ratio * _product(config)


def _product(config: Config) -> float:
    """Return the product of the axes that the samples of an update grow with."""
    return math.prod(_of(config, name) or 1.0 for name in _SIZES)


def _of(config: Mapping[str, object], name: str) -> float:
    value = config.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _points(space: SearchSpace, configs: Sequence[Config]) -> Array:
    return np.array([space.coordinates(config) for config in configs], dtype=np.float64)


def _matern(left: Array, right: Array) -> Array:
    """Return the Matern 3/2 covariance [n, m] of unit variance."""
    distance = _SQRT3 * cdist(left, right) / _LEFT_OVER_DOUBLINGS
    return np.asarray((1.0 + distance) * np.exp(-distance))
