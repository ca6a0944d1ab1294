"""A configuration: its identity, its sizes, and its names in words. Stdlib only, pure."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from cluster.pages.units import plural

Value = int | float | str
"""A value of an axis: a number, or a word."""

Config = dict[str, Any]
"""A `Value` for each axis. The type is wider, because most code knows its axes to be whole."""

ConfigKey = tuple[tuple[str, Any], ...]

VARIABLE = "env."
"""The beginning of an axis that is a variable of the trial's environment: env.OMP_NUM_THREADS."""

SIZES = ("num_envs", "num_steps", "batch_size")
"""The axes by which people name a configuration of PPO."""

DEVICES = "num_devices"
"""The axis of a training on several GPUs of one host; the sizes are of the whole training."""

COUNTS = frozenset({*SIZES, "num_epochs", "vectorized_envs", "num_minibatches", DEVICES})
"""Axes that are positive whole numbers in every loop that has them."""


def config_key(config: Mapping[str, Any]) -> ConfigKey:
    """Return a configuration as a hashable value."""
    return tuple(sorted(config.items()))


def config_violation(config: Mapping[str, Any]) -> str | None:
    """Return why a configuration can run on no machine, or `None`.

    Only the rules that every PPO-like loop shares are checked here; a workload's factory checks the
    others.
    """
    if not all(name in config for name in SIZES):
        return None
    num_envs, num_steps, batch_size = (config[name] for name in SIZES)
    number = config.get(DEVICES, 1)
    if not all(type(config[name]) is int and config[name] > 0 for name in SIZES):
        return (
            f"num_envs {num_envs}, num_steps {num_steps} and batch_size {batch_size} must be "
            "positive whole numbers."
        )
    if type(number) is not int or number < 1:
        return f"num_devices {number} must be a positive whole number."
    samples = num_envs * num_steps
    if samples % batch_size:
        return (
            f"batch_size {batch_size} does not divide num_envs * num_steps = "
            f"{num_envs} * {num_steps} = {samples}."
        )
    if num_envs % number or batch_size % number:
        return (
            f"num_devices {number} does not divide num_envs {num_envs} and batch_size {batch_size}."
        )
    return None


def num_devices(config: Mapping[str, Any]) -> int:
    """Return how many GPUs a configuration trains on."""
    return int(config.get(DEVICES, 1))


def num_shares(config: Mapping[str, Any], *, on_gpu: bool) -> int:
    """Return how many shares of the host's memory and CPUs a trial has: one per GPU."""
    return num_devices(config) if on_gpu else 1


def per_device(config: Mapping[str, Any]) -> Config:
    """Return the sizes that each of a configuration's devices has to carry."""
    number = num_devices(config)
    return {
        name: value // number if name in {"num_envs", "batch_size"} and number > 1 else value
        for name, value in config.items()
        if name != DEVICES
    }


def doublings(config: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how many doublings and halvings lead from `other` to `config`, over all axes.

    Another word counts as one; so does another number where one of the two is not positive.
    """
    return sum(doublings_between(value, other[name]) for name, value in config.items())


def doublings_between(value: Value, other: Value) -> float:
    """Return the doublings or halvings between two values of an axis, as `doublings` counts."""
    if value == other:
        return 0.0
    if isinstance(value, str) or isinstance(other, str) or value <= 0 or other <= 0:
        return 1.0
    return abs(math.log2(value / other))


def weight(config: Mapping[str, Any]) -> float:
    """Return the product of the positive numbers: the lightest configuration has the least."""
    values = config.values()
    return float(math.prod(v for v in values if not isinstance(v, str) and v > 0))


def variables_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the environment that a configuration sets."""
    return {
        name.removeprefix(VARIABLE): value_text(value)
        for name, value in config.items()
        if name.startswith(VARIABLE)
    }


def adds_variables(config: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Return whether a configuration is another one with further variables, and nothing else."""
    more = config.keys() - base.keys()
    same = base.keys() <= config.keys() and all(config[n] == v for n, v in base.items())
    return same and bool(more) and all(name.startswith(VARIABLE) for name in more)


def without_variables(config: Mapping[str, Any]) -> Config:
    """Return the configuration as a workload's factory takes it."""
    return {name: value for name, value in config.items() if not name.startswith(VARIABLE)}


def is_smaller(config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether no number is larger than the other's and one is smaller, with the same words.

    Axes that only one of the two has are no matter. On more devices the same sizes are less for
    each, so that those of other numbers of devices are not comparable.
    """
    if num_devices(config) != num_devices(other):
        return False
    pairs = [(value, other[name]) for name, value in config.items() if name in other]
    differing = [(one, two) for one, two in pairs if one != two]
    has_words = any(isinstance(value, str) for pair in differing for value in pair)
    return bool(differing) and not has_words and all(one < two for one, two in differing)


def value_text(value: Value) -> str:
    """Return a value as people write it, with all of its digits: 256, 0.0003, adam."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def config_text(config: Mapping[str, Any]) -> str:
    """Return `256 envs x 128 steps, batch 8192, 4 epochs`; other axes by their names."""
    rest = dict(config)
    parts = []
    if {"num_envs", "num_steps"} <= config.keys():
        parts.append(f"{rest.pop('num_envs')} envs x {rest.pop('num_steps')} steps")
    if "batch_size" in rest:
        parts.append(f"batch {rest.pop('batch_size')}")
    if "num_epochs" in rest:
        parts.append(plural(rest.pop("num_epochs"), "epoch"))
    if DEVICES in config:
        parts.append(plural(rest.pop(DEVICES), "device"))
    return ", ".join([*parts, *(f"{name} {_shown(value)}" for name, value in rest.items())])


def config_cell(config: Mapping[str, Any], fixed: Collection[str] = ()) -> str:
    """Return `256 x 128 / 8192`, for a narrow column; axes in `fixed` are left out."""
    rest = {name: value for name, value in config.items() if name not in fixed}
    parts = []
    if num_minibatches(config) is not None:
        parts.append(f"{config['num_envs']} x {config['num_steps']} / {config['batch_size']}")
        rest = {name: value for name, value in rest.items() if name not in SIZES}
    return " ".join([*parts, *(f"{name}={_shown(value)}" for name, value in rest.items())])


def config_name(config: Mapping[str, Any]) -> str:
    """Return `256 x 128, 4 minibatches, 2 devices`, as people call it; else names and values.

    Variables are named, whatever else is: with another one it is another configuration.
    """
    minibatches = num_minibatches(config)
    if minibatches is None:
        return ", ".join(f"{name} {_shown(value)}" for name, value in config.items())
    parts = [f"{config['num_envs']} x {config['num_steps']}", plural(minibatches, "minibatch")]
    if DEVICES in config:
        parts.append(plural(config[DEVICES], "device"))
    parts += [f"{name}={_shown(value)}" for name, value in variables_of(config).items()]
    return ", ".join(parts)


def num_minibatches(config: Mapping[str, Any]) -> int | None:
    """Return the gradient steps per epoch; `None` for a configuration without all of `SIZES`."""
    samples = num_samples(config)
    return (
        None if samples is None or "batch_size" not in config else samples // config["batch_size"]
    )


def num_samples(config: Mapping[str, Any]) -> int | None:
    """Return the env steps of an update; `None` without num_envs and num_steps."""
    if not {"num_envs", "num_steps"} <= config.keys():
        return None
    return int(config["num_envs"] * config["num_steps"])


def _shown(value: Value) -> str:
    """Return a value for people, who would not see an empty word."""
    return "(empty)" if value == "" else value_text(value)
