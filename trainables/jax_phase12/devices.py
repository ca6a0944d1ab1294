"""Devices that train together: each has its part of the environments, and all have the network.

The arrays' first axis is the device. XLA then finds by itself what is done where: within a rollout
no device waits for another, and per minibatch they exchange the gradient and the advantages' mean
and deviation (counted in tests/trainables/jax_phase12/test_devices.py).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from trainables.jax_state import MESH_AXIS, mesh_of, on_all


def state_shardings(state: Any, devices: Sequence[Any]) -> Any:
    """Return where each leaf lies: of the environments each device has its part, else all."""
    whole = on_all(state, devices)
    part = NamedSharding(mesh_of(devices), PartitionSpec(MESH_AXIS))
    return whole._replace(
        env_states=jax.tree.map(lambda _: part, state.env_states),
        returns=whole.returns._replace(current=part),
    )


def in_parts(leaf: jax.Array, num_devices: int) -> jax.Array:
    """Return [num_devices, part of each, ...] of what lies one after the other: [all, ...]."""
    return leaf.reshape(num_devices, -1, *leaf.shape[1:])


def of_devices(leaf: jax.Array, num_devices: int) -> jax.Array:
    """Return [num_devices, samples of each, ...] of a rollout's [num_steps, num_envs, ...]."""
    num_steps, num_envs, *shape = leaf.shape
    parts = leaf.reshape(num_steps, num_devices, num_envs // num_devices, *shape)
    return jnp.moveaxis(parts, 1, 0).reshape(num_devices, -1, *shape)


def taken(leaf: jax.Array, rows: jax.Array) -> jax.Array:
    """Return [batch, ...]: the `rows` [num_devices, part of each] of every device's samples."""
    parts = jax.vmap(lambda own, wanted: own[wanted])(leaf, rows)
    return parts.reshape(-1, *parts.shape[2:])
