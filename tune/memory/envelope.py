"""Bytes of a configuration, bounded by every model that agrees with what was measured. Pure.

It serves trainings whose programs nobody can look into, commands above all. Bytes are affine in the
sizes (environments are processes or states) and in the products of two (a rollout is num_envs *
num_steps), and no coefficient is negative. A few measurements leave many such models; a linear
program finds the least and the most that any of them predicts. If the least is over the budget, the
configuration will not fit.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.config import Config, Value, config_key
from tune.memory import axes
from tune.memory.model import Array

_TOLERANCES = (0.05, 0.15, 0.3)
"""Errors of a model that count as agreement; the least at which any model agrees is taken."""

_TINY = 1e-9
_MAX_EXACT = 128
"""The most configurations of a question for which linear programs are solved, milliseconds each."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The bytes that a configuration used, `None` if it died of them."""

    config: Config
    num_bytes: int | None


def bounds(uses: Sequence[Use], config: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the least and the most bytes that a model predicts; the most may be infinite.

    Only uses count that have the same words, and the same values on axes that are no sizes. `None`
    if there are none, or if no model agrees with them.
    """
    alike = [
        (_features(use.config), need)
        for use in uses
        if (need := use.num_bytes) is not None and setting_of(use.config) == setting_of(config)
    ]
    if not alike:
        return None
    wanted = _features(config)
    rows = np.array([row for row, _ in alike])
    needs = np.array([need for _, need in alike], dtype=np.float64)
    columns, scale = np.where(rows.max(axis=0) > 0.0, rows.max(axis=0), 1.0), needs.max()
    for tolerance in _TOLERANCES:
        matrix = np.vstack([-rows, rows]) / columns
        limits = np.concatenate([-needs * (1.0 - tolerance), needs * (1.0 + tolerance)]) / scale
        least = _extreme(wanted / columns, matrix, limits)
        if least is not None:
            most = _extreme(-wanted / columns, matrix, limits)
            return scale * least, math.inf if most is None else scale * -most
    return None


def chances(uses: Sequence[Use], configs: Sequence[Config], budget_bytes: int) -> Array:
    """Return how likely each configuration [m] is within the budget.

    It is the share of the models' range, in logarithms, that is within; 1 where nothing is known,
    and 0 for what is at least as large as a configuration that died. A death that a larger one, or
    the same, contradicts was of something else.
    """
    dead = deaths(uses)
    uses = [use for use in uses if use.num_bytes is not None]
    is_far_below = _are_far_below(uses, configs, budget_bytes)
    is_exact = len(configs) - is_far_below.sum() <= _MAX_EXACT
    find_bounds = functools.partial(bounds, uses) if is_exact else _loose_bounds(uses)
    return np.array(
        [
            0.0
            if any(_reaches(config, death.config) for death in dead)
            else 1.0  # without a linear program, as almost always on a host
            if fits
            else _chance(find_bounds(config), budget_bytes)
            for config, fits in zip(configs, is_far_below, strict=True)
        ]
    )


def deaths(uses: Sequence[Use]) -> list[Use]:
    """Return the uses that died, but for those that a larger use contradicts, or one of the same
    size.
    """
    return [use for use in uses if use.num_bytes is None and not _is_contradicted(use, uses)]


def _chance(ends: tuple[float, float] | None, budget_bytes: int) -> float:
    if ends is None or ends[1] <= budget_bytes:
        return 1.0
    least, most = ends
    if least > budget_bytes:
        return 0.0
    if math.isinf(most) or least <= 0.0:
        return 0.5
    return math.log(budget_bytes / least) / math.log(most / least)


def _loose_bounds(
    uses: Sequence[Use],
) -> Callable[[Mapping[str, Any]], tuple[float, float] | None]:
    """Return what bounds a configuration's bytes as `bounds`, only wider, and without programs.

    Beside a use, bytes grow at most as their fastest term, and at least as their slowest.
    """
    alike: dict[object, tuple[list[Array], list[int]]] = {}
    for use in uses:
        if use.num_bytes is not None:
            rows, needs = alike.setdefault(setting_of(use.config), ([], []))
            rows.append(_features(use.config))
            needs.append(use.num_bytes)
    known = {setting: (np.array(rows), np.array(needs)) for setting, (rows, needs) in alike.items()}

    def find(config: Mapping[str, Any]) -> tuple[float, float] | None:
        if (setting := setting_of(config)) not in known:
            return None
        rows, needs = known[setting]
        growth = np.maximum(_features(config), _TINY) / np.maximum(rows, _TINY)
        least = (needs * growth.min(axis=1)).max() * (1.0 - _TOLERANCES[-1])
        most = (needs * growth.max(axis=1)).min() * (1.0 + _TOLERANCES[-1])
        return float(min(least, most)), float(most)

    return find


def _extreme(costs: Array, matrix: Array, limits: Array) -> float | None:
    """Return the least of `costs @ c` over all models; `None` if there is none, or no bound."""
    from scipy.optimize import linprog  # lazy: it takes a second to import

    found = linprog(costs, A_ub=matrix, b_ub=limits, bounds=(0.0, None), method="highs")
    return None if found.fun is None or found.status != 0 else float(found.fun)


def _is_contradicted(death: Use, uses: Sequence[Use]) -> bool:
    ran = (use.config for use in uses if use.num_bytes is not None)
    return any(_reaches(config, death.config) for config in ran)


def _reaches(config: Config, dead: Config) -> bool:
    """Return whether a configuration is at least as large as one that died, and else the same."""
    pairs = zip(_features(config), _features(dead), strict=True)
    return setting_of(config) == setting_of(dead) and all(one >= two for one, two in pairs)


def _are_far_below(
    uses: Sequence[Use], configs: Sequence[Config], budget_bytes: int
) -> npt.NDArray[np.bool_]:
    """Return which configurations [m] fit even if all bytes of a use grow as its fastest term."""
    found = np.zeros(len(configs), dtype=np.bool_)
    places: dict[object, list[int]] = {}
    for place, config in enumerate(configs):
        places.setdefault(setting_of(config), []).append(place)
    left = {
        setting: (np.array(alike), np.array([_features(configs[place]) for place in alike]))
        for setting, alike in places.items()
    }
    for use in uses:
        if not left:
            break
        if use.num_bytes is None or (setting := setting_of(use.config)) not in left:
            continue
        rows, wanted = left.pop(setting)
        least = budget_bytes / (use.num_bytes * (1.0 + _TOLERANCES[-1]))
        is_below = (wanted <= least * _features(use.config)).all(axis=1)
        found[rows[is_below]] = True
        if not is_below.all():
            left[setting] = rows[~is_below], wanted[~is_below]
    return found


def setting_of(config: Mapping[str, Any]) -> object:
    """Return the words of a configuration, and its numbers that are no sizes.

    Uses of another setting say nothing of it.
    """
    return _read(tuple(config), *config.values())[0]


def _features(config: Mapping[str, Any]) -> Array:
    """Return 1, the sizes, and the products of two of them."""
    return _read(tuple(config), *config.values())[1]


@functools.lru_cache(maxsize=2**16, typed=True)  # the same are asked for at every suggestion
def _read(names: tuple[str, ...], *values: Value) -> tuple[object, Array]:
    config = dict(zip(names, values, strict=True))
    sizes = [float(value) for name, value in config.items() if axes.is_size(name, value)]
    pairs = [one * two for one, two in itertools.combinations(sizes, 2)]
    features = np.array([1.0, *sizes, *pairs])
    features.flags.writeable = False
    return config_key({n: v for n, v in config.items() if not axes.is_size(n, v)}), features
