"""Device bytes of a configuration, predicted from programs that the search has compiled. Pure.

The bytes of a PPO-like program are affine in four terms: parameters (constant), environment state
(num_envs), the rollout (num_envs * num_steps) and one minibatch (batch_size, or the rollout's share
by num_minibatches), none of them negative. Six programs at the corners of the space predict the
others within 3 % (benchmarks/memory_model.py). Programs that lie close together predict less well,
so a prediction carries its own error, and a configuration is refused only if it exceeds the budget
by more. Programs that differ in an axis beside these tell nothing of each other: see `setting_of`.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from search_spaces.config import DEVICES, SIZES, Config, per_device
from tune.memory import axes

Array = npt.NDArray[np.float64]

_MIN_COMPILES = 5
"""One more than the coefficients: a fit through as many points has no residuals for its error."""

_MIN_SIGMA = 0.01
_TYPICAL_SIGMA = 0.02
_MAX_PROGRAMS = 256
"""The most programs to learn from; where fewer are known, all are used."""

_NUM_GUESSES = 64
_DOMINANCE = 0.5
"""The concentration of the Dirichlet prior over the four terms; below 1, one term dominates."""
_GUESS_SIGMA = 0.3

_ERROR_REACH = np.array([4.0, 4.0, 2.0])
"""The doublings of num_envs, num_envs * num_steps and batch_size over which errors correlate.

Most of a program's bytes, and so a compiler's leaps, are one minibatch's.
"""

_RIDGE = 1e-6
"""Keeps the error finite, though large, along a direction in which no two programs differ."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryModel:
    """`coefficients` [4] in bytes per unit of (1, num_envs, num_envs * num_steps, batch_size).

    `sigma` is the relative standard error of the fit; `covariance` [4, 4] spreads it to other
    configurations, in units of `column_scale` [4].
    """

    coefficients: Array
    sigma: float
    covariance: Array
    column_scale: Array

    def predict_bytes(self, config: Mapping[str, Any]) -> float:
        """Return the predicted device bytes of a configuration."""
        return float(_features(config) @ self.coefficients)

    def relative_error(self, config: Mapping[str, Any]) -> float:
        """Return two standard errors of the prediction, as a share of it.

        It is the least-squares prediction interval, which grows away from what was compiled.
        """
        row = _features(config) / self.predict_bytes(config) / self.column_scale
        return float(2.0 * self.sigma * np.sqrt(1.0 + row @ self.covariance @ row))

    def exceeds(self, config: Mapping[str, Any], budget_bytes: int) -> bool:
        """Return whether the prediction is over the budget by more than its own error."""
        return self.predict_bytes(config) > budget_bytes * (1.0 + self.relative_error(config))


def _nonnegative(rows: Array, targets: Array) -> tuple[Array, float]:
    """Return the non-negative least squares of a system, and the norm of its residuals."""
    from scipy.optimize import nnls  # lazy: it takes a second to import, and few searches need it

    solution, norm = nnls(rows, targets)
    return np.asarray(solution, dtype=np.float64), float(norm)


def fit(compiled: Iterable[tuple[Mapping[str, Any], int]]) -> MemoryModel | None:
    """Fit a model to (configuration, device bytes) pairs; return `None` while there are too few.

    Relative residuals are fitted, not absolute ones, so that small programs count as much as large.
    """
    points = {tuple(_features(config)): device_bytes for config, device_bytes in compiled}
    if len(points) < _MIN_COMPILES:
        return None
    device_bytes = np.array(list(points.values()), dtype=np.float64)
    rows = np.array(list(points)) / device_bytes[:, None]  # so that all targets are 1
    column_scale = np.abs(rows).max(axis=0)
    rows = rows / column_scale
    scaled, residual_norm = _nonnegative(rows, np.ones(len(rows)))
    degrees_of_freedom = len(rows) - rows.shape[1]
    gram = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
    return MemoryModel(
        coefficients=np.asarray(scaled / column_scale, dtype=np.float64),
        sigma=max(_MIN_SIGMA, residual_norm / degrees_of_freedom**0.5),
        covariance=np.asarray(np.linalg.inv(gram), dtype=np.float64),
        column_scale=column_scale,
    )


def telling(
    compiled: Sequence[tuple[Config, int]], budget_bytes: int | None
) -> list[tuple[Config, int]]:
    """Return the programs to learn from: all, but of very many, those that decide what fits.

    They are the nearest to the budget, one of each size.
    """
    if len(compiled) <= _MAX_PROGRAMS or budget_bytes is None:
        return list(compiled)
    by_size = {_terms(config): (config, need) for config, need in compiled}
    distances = [(abs(math.log(need / budget_bytes)), one) for one, (_, need) in by_size.items()]
    return [by_size[one] for _, one in sorted(distances)[:_MAX_PROGRAMS]]


def chances(
    compiled: Sequence[tuple[Mapping[str, Any], int]],
    configs: Sequence[Mapping[str, Any]],
    budget_bytes: int,
) -> Array:
    """Return the probability per configuration [m] that its program is within the budget.

    At least one program must be compiled. Randomise then optimise (Bardsley et al. 2014): the
    coefficients are fitted many times, each time to needs that are perturbed by the model's own
    error, and with another prior guess of how the first program's bytes divide into the terms.
    The fits agree where the compiled programs decide, and differ elsewhere. A compiler's leaps
    make all fits wrong in the same way, so their errors are modelled as a Gaussian process over
    doublings: one surprise warns of its neighbours. A configuration that is larger in every term
    than a program over the budget has probability 0.
    """
    first, first_bytes = compiled[0]
    columns = _features(first)
    needs = np.array([device_bytes for _, device_bytes in compiled]) / first_bytes
    rows = np.array([_features(config) for config, _ in compiled]) / columns / needs[:, None]
    model = fit(compiled)
    sigma = _TYPICAL_SIGMA if model is None else max(model.sigma, _TYPICAL_SIGMA)
    rng = np.random.default_rng(0)
    guesses = rng.dirichlet(np.full(len(columns), _DOMINANCE), size=_NUM_GUESSES)
    system = np.vstack([rows / sigma, np.eye(len(columns)) / _GUESS_SIGMA])
    perturbed = (
        np.concatenate([rng.normal(1.0, sigma, len(rows)) / sigma, guess])
        for guess in guesses / _GUESS_SIGMA
    )
    shares = np.array([_nonnegative(system, targets)[0] for targets in perturbed])
    wanted = _rows(configs)
    predicted = np.log(wanted / columns @ shares.T)  # [m, guesses]
    errors = np.log(needs[:, None]) - np.log(rows * needs[:, None] @ shares.T)  # [n, guesses]
    programs = _rows([config for config, _ in compiled])
    near, spread = _local_error(programs, wanted, errors, sigma)
    room = np.log(budget_bytes / first_bytes) - predicted - near
    chance = ndtr(room / spread[:, None]).mean(axis=1)
    known_bytes = np.array([device_bytes for _, device_bytes in compiled], dtype=np.float64)
    least = _least_bytes(programs, known_bytes, wanted)
    return np.where(least > budget_bytes, 0.0, chance)


def _local_error(
    programs: Array, wanted: Array, errors: Array, sigma: float
) -> tuple[Array, Array]:
    """Return the fits' expected log errors at `wanted`, [m, guesses], and their spread, [m].

    Simple kriging of the log errors [n, guesses] at the compiled programs.
    """
    here, there = (np.log2(features[:, 1:].copy()) for features in (programs, wanted))
    prior, noise = max(sigma, _TYPICAL_SIGMA) ** 2, _TYPICAL_SIGMA**2
    covariance = prior * _correlation(here, here) + noise * np.eye(len(here))
    cross = prior * _correlation(there, here)
    weights = np.linalg.solve(covariance, cross.T).T
    variance = prior + noise - (weights * cross).sum(axis=1)
    return weights @ errors, np.sqrt(np.maximum(variance, noise))


def _correlation(left: Array, right: Array) -> Array:
    """Return the squared exponential correlation over doublings, [m, n]."""
    squared = cdist(left / _ERROR_REACH, right / _ERROR_REACH, "sqeuclidean")
    return np.asarray(np.exp(-0.5 * squared))


def least_bytes(
    compiled: Sequence[tuple[Mapping[str, Any], int]], config: Mapping[str, Any]
) -> float:
    """Return the bytes that a configuration's program needs at least: see `_least_bytes`."""
    needs = np.array([device_bytes for _, device_bytes in compiled], dtype=np.float64)
    return float(_least_bytes(_rows(one for one, _ in compiled), needs, _rows([config]))[0])


def _least_bytes(programs: Array, needs: Array, wanted: Array) -> Array:
    """Return the largest need of a program that is smaller in every term, [m]; 0.0 without one."""
    is_smaller = (programs <= wanted[:, None, :]).all(axis=2)  # [m, n]
    return np.asarray(np.where(is_smaller, needs, 0.0).max(axis=1))


def applies_to(config: Mapping[str, Any]) -> bool:
    """Return whether the configuration has the axes that the model needs, and no words.

    A word (a precision, a flag) changes a program in ways that sizes do not tell.
    """
    has_words = any(isinstance(value, str) for value in config.values())
    return {"num_envs", "num_steps"} <= config.keys() and not has_words


def setting_of(config: Mapping[str, Any]) -> object:
    """Return the axes that the model does not know, with their values.

    A program tells of another only where they are the same: with a wider network all is larger.
    """
    names = _unknown_names(tuple(config))
    return tuple((name, config[name]) for name in names if not axes.is_neutral(name, config[name]))


@functools.cache
def _unknown_names(names: tuple[str, ...]) -> tuple[str, ...]:
    known = {*SIZES, DEVICES, *(() if "batch_size" in names else ("num_minibatches",))}
    return tuple(sorted(set(names) - known))


def _rows(configs: Iterable[Mapping[str, Any]]) -> Array:
    return np.array([_terms(config) for config in configs], dtype=np.float64)


def _features(config: Mapping[str, Any]) -> Array:
    return np.array(_terms(config), dtype=np.float64)


def _terms(config: Mapping[str, Any]) -> tuple[float, ...]:
    config = per_device(config)
    num_envs, samples = config["num_envs"], config["num_envs"] * config["num_steps"]
    batch_size = config.get("batch_size")
    if batch_size is None:
        # Without minibatches one gradient step takes the whole rollout.
        batch_size = samples / config.get("num_minibatches", 1)
    return 1.0, num_envs, samples, batch_size
