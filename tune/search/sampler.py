"""Bayesian optimisation over a finite grid. Pure.

Optuna's own GPSampler needs torch, which the JAX path never installs, and proposes points between
the grid's. With a few hundred configurations the acquisition can be computed for every one that was
not measured yet, so nothing is proposed twice and nothing has to be rounded.

The model is a Gaussian process with a Matern 5/2 kernel over log2 coordinates, one length scale per
axis, fitted by maximum a posteriori over random draws from the prior (a dozen observations do not
deserve an optimiser). The acquisition is expected improvement (Jones et al. 1998).
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from tune.memory.model import Array

_NUM_DRAWS = 256
_MAX_FITTED = 128
_MAX_CONDITIONED = 512
"""The most observations to condition on: the time grows as their cube. Fewer are all used."""

_GROWTH = 1.25
"""A kernel that is given is fitted again when there are so many times more observations."""

_AT_ONCE = 2**14
"""Covariances that are computed at once, of all draws: more do not fit the caches."""

_LARGE = 1e30  # than any sum of squared residuals: what it ends in is not looked at

_SQRT5 = math.sqrt(5.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """The measured `points` [n, d] in log2 units, their `scores` [n], and `feasible` [n].

    The score of an infeasible point is not used: it counts as bad as the worst feasible one, which
    keeps the search away from the limit without a hole that would bend the model elsewhere.
    """

    points: Array
    scores: Array
    feasible: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The length scales [d] in doublings and the noise variance, fitted to `num_observed`."""

    length_scales: Array
    noise: float
    num_observed: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """`mean` and `std` of the standardised log score at each candidate, and the `best` observed.

    A log score is `center` and so many times `scale`.
    """

    kernel: Kernel
    mean: Array
    std: Array
    best: float
    center: float
    scale: float

    @property
    def scores(self) -> Array:
        """The expected scores, [m]."""
        return np.asarray(np.exp(self.center + self.scale * self.mean))


def choose_batch(
    candidates: Array,
    observations: Observations,
    rng: np.random.Generator,
    *,
    chances: Array,
    size: int,
    kernel: Kernel | None,
) -> tuple[list[int], Kernel]:
    """Return `size` rows of `candidates` [m, d] to measure beside each other, and the kernel.

    `chances` [m] that a candidate is feasible weigh its expected improvement (Gardner et al. 2014).
    For all but the first, it is less by as much as those before will tell of them: without noise a
    measurement takes the share `correlation ** 2` of a variance.

    Raises:
        ValueError: if no observation is feasible.
    """
    posterior = fit(candidates, observations, rng, kernel)
    improvement = expected_improvement(posterior) * chances
    chosen: list[int] = []
    for _ in range(min(size, len(candidates))):
        if chosen:
            last = candidates[chosen[-1:]]
            told = np.square(_matern(candidates, last, posterior.kernel.length_scales)[:, 0])
            improvement = improvement * np.maximum(1.0 - told, 0.0)
            improvement[chosen] = -np.inf
        best = np.flatnonzero(improvement >= improvement.max() * (1.0 - 1e-9))
        chosen.append(int(rng.choice(best)))
    return chosen, posterior.kernel


def fit(
    candidates: Array,
    observations: Observations,
    rng: np.random.Generator,
    kernel: Kernel | None = None,
) -> Posterior:
    """Condition the process on the observations and predict at `candidates` [m, d].

    Scores are modelled by their logarithm: speeds differ by factors. A `kernel` that was fitted to
    not many fewer observations serves again.

    Raises:
        ValueError: if no observation is feasible.
    """
    if not observations.feasible.any():
        raise ValueError("no observation is feasible yet; there is nothing to improve on.")
    logs = np.log(np.where(observations.feasible, observations.scores, np.nan))
    logs = np.where(observations.feasible, logs, np.nanmin(logs))
    center, scale = logs.mean(), max(float(logs.std()), 1e-3)
    targets = (logs - center) / scale
    points, feasible = observations.points, observations.feasible
    if kernel is None or len(targets) >= _GROWTH * kernel.num_observed:
        chosen = _to_fit(len(targets), rng)
        length_scales, noise = _maximum_a_posteriori(points[chosen], targets[chosen], rng)
        kernel = Kernel(length_scales=length_scales, noise=noise, num_observed=len(targets))
    if len(targets) > _MAX_CONDITIONED:
        telling = _most_telling(targets, rng)
        points, feasible, targets = points[telling], feasible[telling], targets[telling]
    length_scales = kernel.length_scales
    factor = _cholesky(points, length_scales, kernel.noise)
    cross = _matern(candidates, points, length_scales)
    weights = cho_solve((factor, True), targets)
    reduction = solve_triangular(factor, cross.T, lower=True)
    variance = np.maximum(1.0 - np.square(reduction).sum(axis=0), 1e-9)
    # The best observed value is a noisy maximum and too high; the model's mean there is not.
    at_observed = _matern(points, points, length_scales) @ weights
    best = float(at_observed[feasible].max())
    return Posterior(
        kernel=kernel,
        mean=cross @ weights,
        std=np.sqrt(variance),
        best=best,
        center=float(center),
        scale=scale,
    )


def expected_improvement(posterior: Posterior) -> Array:
    """Return the expected improvement over `posterior.best`, [m], in standardised log units."""
    return expected_lead(posterior.mean - posterior.best, posterior.std)


def expected_lead(lead: Array | float, std: Array | float) -> Array:
    """Return the mean of a lead, where it is one: of what is normal about `lead`, and 0 below 0."""
    z = lead / std
    density = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return np.asarray(std * (z * ndtr(z) + density))


def _to_fit(total: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the rows to fit length scales to: all, or `_MAX_FITTED` at random."""
    is_few = total <= _MAX_FITTED
    return np.arange(total) if is_few else rng.choice(total, _MAX_FITTED, replace=False)


def _most_telling(targets: Array, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the rows to condition on: half are the best, the others at random of the rest."""
    order = np.argsort(-targets, kind="stable")
    half = _MAX_CONDITIONED // 2
    others = rng.choice(order[half:], _MAX_CONDITIONED - half, replace=False)
    return np.sort(np.concatenate([order[:half], others]))


def _maximum_a_posteriori(
    points: Array, targets: Array, rng: np.random.Generator
) -> tuple[Array, float]:
    """Return the length scales [d] in doublings and the noise variance with the best posterior."""
    num_axes = points.shape[1]
    # Speed changes over a few doublings, rarely within one; measurements agree within percents.
    log_lengths = rng.normal(math.log(3.0), 0.7, size=(_NUM_DRAWS, num_axes))
    log_noises = rng.normal(math.log(1e-2), 1.0, size=_NUM_DRAWS)
    priors = -0.5 * np.square((log_lengths - math.log(3.0)) / 0.7).sum(axis=1)
    likelihoods = _log_likelihoods(points, targets, np.exp(log_lengths), np.exp(log_noises))
    best = int(np.argmax(likelihoods + priors))
    return np.exp(log_lengths[best]), float(np.exp(log_noises[best]))


def _log_likelihoods(points: Array, targets: Array, length_scales: Array, noises: Array) -> Array:
    """Return that of each draw of `length_scales` [k, d] and `noises` [k]: many at once, as each
    alone is a small matrix, and most of its time would be calls.
    """
    num_points = len(points)
    squares = np.square(points[:, None] - points[None]).reshape(num_points**2, -1)
    at_once = max(1, _AT_ONCE // num_points**2)
    found = []
    for first in range(0, len(noises), at_once):
        some = slice(first, first + at_once)
        correlation = _correlation(np.sqrt(length_scales[some] ** -2.0 @ squares.T))
        # The targets are a last row below each covariance: its factor's last row solves for them.
        below = np.empty((len(correlation), num_points + 1, num_points + 1))
        below[:, :-1, :-1] = correlation.reshape(-1, num_points, num_points)
        below[:, :-1, :-1] += (noises[some, None, None] + 1e-8) * np.eye(num_points)
        below[:, -1, :-1] = targets
        below[:, -1, -1] = _LARGE
        factors = np.linalg.cholesky(below)
        diagonals = np.diagonal(factors, axis1=1, axis2=2)[:, :-1]
        residuals = factors[:, -1, :-1]
        found.append(-0.5 * np.square(residuals).sum(axis=1) - np.log(diagonals).sum(axis=1))
    return np.concatenate(found)


def _cholesky(points: Array, length_scales: Array, noise: float) -> Array:
    covariance = _matern(points, points, length_scales)
    jitter = (noise + 1e-8) * np.eye(len(points))
    return np.asarray(np.linalg.cholesky(covariance + jitter), dtype=np.float64)


def _matern(left: Array, right: Array, length_scales: Array) -> Array:
    """Return the Matern 5/2 covariance [n, m] of unit variance."""
    return _correlation(cdist(left / length_scales, right / length_scales))


def _correlation(distance: Array) -> Array:
    return np.asarray(
        (1.0 + _SQRT5 * distance + 5.0 / 3.0 * np.square(distance)) * np.exp(-_SQRT5 * distance)
    )
