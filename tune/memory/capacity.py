"""The part of a space that fits into a device's memory, by a few compiled programs. Pure.

Compiling costs the same at any size and allocates nothing, so a handful of small and large
programs shows what fits. There are three steps, the cheapest first:

- compile the largest configuration: if it fits, all do;
- if it does not, fit the memory model to the corners of the space, and predict the others;
- compile the configurations that are too near the limit to be predicted.
"""

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.pages import units
from search_spaces.config import (
    SIZES,
    VARIABLE,
    Config,
    ConfigKey,
    Value,
    config_key,
    doublings_between,
)
from search_spaces.space import SearchSpace
from tune.memory import axes
from tune.memory import model as memory_model

MARGIN_ON_GPU, MARGIN_ON_CPU = 0.25, 0.05
"""The least relative error that a prediction is taken to have.

The compiler fuses large programs in other ways than small ones: compiled for GPUs, the affine model
was off by up to 23 % at 16384 environments; on CPUs by 1.2 % (benchmarks/memory_model.py). A
program that fits with this margin shows that smaller ones fit too.
"""

_OVER = 2.0
"""A prediction of this many times the budget does not fit; one below it must be compiled.

Where a program would take more than 80 % of a GPU's memory, XLA recomputes values instead of
keeping them: it brought 28 GiB down to 17 (slower, but it fits).
"""

_UNSHRUNK_SHARE = 0.6
"""The share of the budget up to which XLA does not shrink GPU programs: the model learns these."""

_NUM_CORNERS = 7
"""Two more than the memory model needs at least, so that its error is well known."""


class Fit(enum.StrEnum):
    """A verdict on a configuration; `CLOSE` is a prediction too near the limit to decide."""

    FITS = "fits"
    CLOSE = "close"
    TOO_LARGE = "too_large"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One configuration with its need. `device_bytes` is exact where `compiled`, else predicted.

    It is `None` where nothing predicts it; `fit` is `None` where nothing is known.
    """

    config: Config
    device_bytes: float | None
    compiled: bool
    fit: Fit | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The entries of all configurations of a space, against a budget.

    `relative_error` is the memory model's largest own estimate of its error, `None` without
    predictions.
    """

    budget_bytes: int
    entries: tuple[Entry, ...]
    relative_error: float | None

    @property
    def everything_fits(self) -> bool:
        """Return whether all configurations fit, none of them in doubt."""
        return all(entry.fit is Fit.FITS for entry in self.entries)

    def num_envs_that_fit(self, *, always: bool) -> int | None:
        """Return the largest num_envs that fits with any (`always`), or some, of the other sizes.

        `None` if not even the smallest does, or if the space has no such axis.
        """
        by_envs: dict[int, list[bool]] = {}
        for entry in self.entries:
            if "num_envs" in entry.config:
                by_envs.setdefault(entry.config["num_envs"], []).append(entry.fit is Fit.FITS)
        best = None
        for num_envs in sorted(by_envs):
            if all(by_envs[num_envs]) or (not always and any(by_envs[num_envs])):
                best = num_envs
            elif always:
                break
        return best


def are_alike(configs: Sequence[Config]) -> bool:
    """Return whether one memory model speaks of all of these configurations."""
    settings = {memory_model.setting_of(config) for config in configs}
    return len(settings) <= 1 and all(map(memory_model.applies_to, configs))


def of_sizes(space: SearchSpace) -> list[Config]:
    """Return the configurations that differ in sizes, with every other axis at its largest value.

    They are of the fewest devices, and of the fewest parts of whatever is divided: each of those
    then carries most. An axis of which nobody knows what takes more keeps all of its values; but
    variables are not of the program, and compilers have one environment for all. A space without
    the axes of `SIZES` keeps all of its configurations.
    """
    if not set(SIZES) <= set(space.names):
        return list(space.configurations())
    heaviest = {
        axis.name: axis.values[0 if axes.counts_parts(axis.name) else -1]
        for axis in space.axes
        if axis.name not in SIZES
        if axis.name.startswith(VARIABLE) or axes.is_ordered(axis.name, axis.values[0])
    }
    return [
        config
        for config in space.configurations()
        if all(config[name] == value for name, value in heaviest.items())
    ]


def corners(configs: Sequence[Config]) -> list[Config]:
    """Return the few configurations to compile first: the largest, then those far from all others.

    Farthest-point sampling over the doublings between values. It finds the ends of every axis, so
    that the model predicts between compiled programs and not beyond them.
    """
    rest = sorted(configs, key=_size)
    chosen = [rest.pop()] if rest else []
    while rest and len(chosen) < _NUM_CORNERS:
        farthest = max(rest, key=lambda config: min(_distance(config, c) for c in chosen))
        rest.remove(farthest)
        chosen.append(farthest)
    return chosen


def compiled_first(configs: Sequence[Config], *, on_gpu: bool) -> list[Config]:
    """Return the configurations to compile before the first trial: on a GPU the largest alone.

    The others cost as much as two trials. On nine modelled landscapes of GPUs that gained nothing:
    without them, too, no search ran what did not fit (benchmarks/README.md).
    """
    found = corners(configs)
    return found[:1] if on_gpu else found


def assess(
    configs: Iterable[Config],
    compiled: Mapping[ConfigKey, int],
    budget_bytes: int,
    *,
    on_gpu: bool,
) -> Capacity:
    """Judge every configuration by the programs compiled so far (device bytes by `config_key`)."""
    configs = list(configs)
    by_key = {config_key(config): config for config in configs}
    known = [(by_key[name], need) for name, need in compiled.items() if name in by_key]
    largest_bytes = _UNSHRUNK_SHARE * budget_bytes if on_gpu else math.inf
    model = _fit(known, largest_bytes) if are_alike(configs) else None
    margin = MARGIN_ON_GPU if on_gpu else MARGIN_ON_CPU

    def entry(config: Config) -> Entry:
        need = compiled.get(config_key(config))
        if need is not None:
            fit = Fit.FITS if need <= budget_bytes else Fit.TOO_LARGE
            return Entry(config=config, device_bytes=need, compiled=True, fit=fit)
        is_safe = _is_vouched_for(config, known, budget_bytes / (1.0 + margin))
        return Entry(
            config=config,
            device_bytes=None if model is None else model.predict_bytes(config),
            compiled=False,
            fit=Fit.FITS if is_safe else _predict(model, config, budget_bytes, margin),
        )

    entries = tuple(map(entry, configs))
    predicted = [entry.config for entry in entries if not entry.compiled] if model else []
    return Capacity(
        budget_bytes=budget_bytes,
        entries=entries,
        relative_error=max(map(model.relative_error, predicted), default=None) if model else None,
    )


def in_doubt(capacity: Capacity) -> list[Config]:
    """Return the configurations that must be compiled too, the nearest to the limit first."""

    def nearness(entry: Entry) -> float:
        return (
            abs(math.log(entry.device_bytes / capacity.budget_bytes)) if entry.device_bytes else 0
        )

    doubtful = [entry for entry in capacity.entries if entry.fit in {Fit.CLOSE, None}]
    return [entry.config for entry in sorted(doubtful, key=nearness)]


def in_words(found: Capacity) -> str:
    """Return `31 of 80 configurations fit in 4.00 GiB: up to 512 envs with any other sizes`."""
    fitting = sum(entry.fit is Fit.FITS for entry in found.entries)
    total = units.plural(len(found.entries), "configuration")
    text = f"{fitting} of {total} fit in {units.size(found.budget_bytes)}"
    always, best = (found.num_envs_that_fit(always=always) for always in (True, False))
    if best is None:
        return text
    if always == best:
        return f"{text}: up to {best} envs with any of the other sizes"
    some = f"up to {best} envs where the other sizes are small enough"
    return f"{text}: {some}" if always is None else f"{text}: up to {always} envs always, {some}"


def _fit(
    known: Sequence[tuple[Config, int]], largest_bytes: float
) -> memory_model.MemoryModel | None:
    """Return the model of the programs up to `largest_bytes`; of all, if those are too few."""
    at_ease = [(config, need) for config, need in known if need <= largest_bytes]
    return memory_model.fit(at_ease) or memory_model.fit(known)


def _predict(
    model: memory_model.MemoryModel | None,
    config: Mapping[str, Any],
    budget_bytes: int,
    margin: float,
) -> Fit | None:
    if model is None:
        return None
    predicted, error = model.predict_bytes(config), max(margin, model.relative_error(config))
    if predicted * (1.0 + error) <= budget_bytes:
        return Fit.FITS
    return Fit.TOO_LARGE if predicted > budget_bytes * max(_OVER, 1.0 + error) else Fit.CLOSE


def _is_vouched_for(
    config: Mapping[str, Any], known: Iterable[tuple[Mapping[str, Any], int]], most_bytes: float
) -> bool:
    """Return whether a program at least as large in every respect needs at most `most_bytes`.

    Neither of two words is larger, nor of two numbers of which nobody knows what they do: with a
    flag that is 1 a program may well be the smaller.
    """
    return any(
        need <= most_bytes
        and all(_is_as_large(name, larger[name], value) for name, value in config.items())
        for larger, need in known
    )


def _is_as_large(name: str, value: Value, other: Value) -> bool:
    if isinstance(value, str) or isinstance(other, str) or not axes.is_ordered(name, value):
        return value == other
    return value <= other if axes.counts_parts(name) else value >= other


def _size(config: Mapping[str, Any]) -> tuple[float, ...]:
    """Return what sorts configurations: the product of the sizes, then all numbers in turn.

    The more parts, the smaller each.
    """
    numbers = {name: value for name, value in config.items() if not isinstance(value, str)}
    parts = {name for name in numbers if axes.counts_parts(name)}
    product = math.prod(v for name, v in numbers.items() if v > 1 and name not in parts)
    shares = math.prod(v for name, v in numbers.items() if v > 1 and name in parts)
    return (product / shares, *(-v if name in parts else v for name, v in numbers.items()))


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return math.hypot(*(doublings_between(value, other[name]) for name, value in one.items()))
