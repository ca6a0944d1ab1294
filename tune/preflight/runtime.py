"""Requirements of a space on the runtime below the training: flags of XLA, and devices."""

import os

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import xla_flags
from cluster.node.thread_env import Framework
from cluster.pages import units
from search_spaces.config import DEVICES, VARIABLE, Config, num_devices
from search_spaces.space import SearchSpace
from tune.preflight.findings import Preflight


def require_known_flags(space: SearchSpace, framework: Framework) -> None:
    """Refuse an axis of XLA_FLAGS with one that the installed jaxlib would die of.

    Raises:
        UserError: naming the flags.
    """
    if framework != "jax":
        return  # another interpreter may have another jaxlib
    words = [w for axis in space.axes if axis.name == f"{VARIABLE}XLA_FLAGS" for w in axis.values]
    unknown = [flag for word in words for flag in xla_flags.unknown_xla_flags(str(word))]
    if unknown:
        flags = ", ".join(f"--{flag}" for flag in dict.fromkeys(unknown))
        raise UserError(f"--space: the installed jaxlib does not know {flags}; leave it out.")


def require_devices(
    space: SearchSpace,
    baseline: Config,
    framework: Framework,
    preflight: Preflight,
    hardware_class: HardwareClass | None = None,
) -> None:
    """Refuse a number of devices that no host has.

    Raises:
        UserError: with the number that there is, and what to do.
    """
    asked = [value for axis in space.axes if axis.name == DEVICES for value in axis.values]
    wanted = max([num_devices(baseline), *map(int, asked)])
    if preflight.on_gpu:
        here = preflight.num_places
        if hardware_class is not None:
            here = hardware_class.most_gpus or 1
        where = "this machine has" if hardware_class is None else "a host of this class has"
        problem = f"{where} {units.plural(here, 'GPU')} for trials: take none above."
    elif framework == "jax":
        here = xla_flags.num_simulated_devices(os.environ.get("XLA_FLAGS", ""))
        problem = (
            "the CPU is one device. To try it out on simulated ones, set "
            f"XLA_FLAGS=--{xla_flags.SIMULATED_DEVICES}={wanted}."
        )
    else:
        return  # processes on the CPU are no devices
    if wanted > here:
        raise UserError(f"{DEVICES} {wanted}: {problem}")
