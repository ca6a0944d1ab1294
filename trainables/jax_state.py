"""The state of a pure update: what the update must return, and where it lies on devices."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from trainables.workload import WorkloadInputError

MESH_AXIS = "devices"
"""The axis of the mesh, along which shares of a state lie."""

Shardings = Callable[[Any, Sequence[Any]], Any]
"""`shardings(state, devices)`: where each leaf of the state lies, as a pytree like the state."""


class StateError(WorkloadInputError, TypeError):
    """An update that does not return a state like the one it was given, with metrics."""


def on_all(state: Any, devices: Sequence[Any]) -> Any:
    """Return that every leaf of a state lies on each of the devices, whole."""
    whole = NamedSharding(mesh_of(devices), PartitionSpec())
    return jax.tree.map(lambda _: whole, state)


def mesh_of(devices: Sequence[Any]) -> jax.sharding.Mesh:
    """Return the devices in a row, for shardings that name the axis `MESH_AXIS`."""
    return jax.sharding.Mesh(np.array(devices), (MESH_AXIS,))


def is_pair(made: Any) -> bool:
    """Return whether an update returned two things: a state and its metrics."""
    return isinstance(made, tuple) and len(made) == 2


def check_update(made: Any, before: Any) -> None:
    """Require that an update's result (shapes) has a state like the one before, and metrics.

    Raises:
        StateError: naming what differs.
    """
    if not is_pair(made) or not isinstance(made[1], Mapping):
        got = f"a pair with {type(made[1]).__name__}" if is_pair(made) else type(made).__name__
        raise StateError(f"update must return (state, metrics), metrics by name: got {got}.")
    after = made[0]
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise StateError(
            "update must return a state of the structure it was given: "
            f"got {jax.tree.structure(after)} for {jax.tree.structure(before)}."
        )
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    ):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise StateError(
                f"update must return a state of the shapes it was given: state"
                f"{jax.tree_util.keystr(path)} was {old.dtype}{list(old.shape)}, "
                f"became {new.dtype}{list(new.shape)}."
            )
