"""A configuration: its identity, its sizes, and its names in words. Stdlib only, pure."""

import math
from collections.abc import Collection, Mapping

from cluster.pages.units import plural

ConfigKey = tuple[tuple[str, int], ...]

SIZES = ("num_envs", "num_steps", "batch_size")
"""The axes by which people name a configuration of PPO."""


def config_key(config: dict[str, int]) -> ConfigKey:
    """Return a configuration as a hashable value."""
    return tuple(sorted(config.items()))


def config_violation(config: Mapping[str, int]) -> str | None:
    """Return why a configuration can run on no machine, or `None`.

    Only the rule that every PPO-like loop shares is checked here; a workload's factory checks the
    others.
    """
    if not all(name in config for name in SIZES):
        return None
    num_envs, num_steps, batch_size = (config[name] for name in SIZES)
    samples = num_envs * num_steps
    if samples % batch_size:
        return (
            f"batch_size {batch_size} does not divide num_envs * num_steps = "
            f"{num_envs} * {num_steps} = {samples}."
        )
    return None


def doublings(config: Mapping[str, int], other: Mapping[str, float]) -> float:
    """Return how many doublings and halvings lead from `other` to `config`, over all axes."""
    return sum(abs(math.log2(config[name] / other[name])) for name in config)


def config_text(config: Mapping[str, int]) -> str:
    """Return `256 envs x 128 steps, batch 8192, 4 epochs`; other axes by their names."""
    rest = dict(config)
    parts = []
    if {"num_envs", "num_steps"} <= config.keys():
        parts.append(f"{rest.pop('num_envs')} envs x {rest.pop('num_steps')} steps")
    if "batch_size" in rest:
        parts.append(f"batch {rest.pop('batch_size')}")
    if "num_epochs" in rest:
        parts.append(plural(rest.pop("num_epochs"), "epoch"))
    return ", ".join([*parts, *(f"{name} {value}" for name, value in rest.items())])


def config_cell(config: Mapping[str, int], fixed: Collection[str] = ()) -> str:
    """Return `256 x 128 / 8192`, for a narrow column; axes in `fixed` are left out."""
    rest = {name: value for name, value in config.items() if name not in fixed}
    parts = []
    if num_minibatches(config) is not None:
        parts.append(f"{config['num_envs']} x {config['num_steps']} / {config['batch_size']}")
        rest = {name: value for name, value in rest.items() if name not in SIZES}
    return " ".join([*parts, *(f"{name}={value}" for name, value in rest.items())])


def config_name(config: Mapping[str, int]) -> str:
    """Return `256 x 128, 4 minibatches`, as people call a configuration; else names and values."""
    minibatches = num_minibatches(config)
    if minibatches is None:
        return ", ".join(f"{name} {value}" for name, value in config.items())
    return f"{config['num_envs']} x {config['num_steps']}, {plural(minibatches, 'minibatch')}"


def num_minibatches(config: Mapping[str, int]) -> int | None:
    """Return the gradient steps per epoch; `None` for a configuration without all of `SIZES`."""
    if not all(name in config for name in SIZES):
        return None
    return config["num_envs"] * config["num_steps"] // config["batch_size"]
