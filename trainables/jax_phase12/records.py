"""Records: the arrays of one step side by side in one array, so that one kernel stores them all.

Plain JAX, pure. Numbers of four bytes keep their bits, as unsigned integers: an integer in the
place of a float could be flushed to zero. Flags become numbers; what has another size is left as it
is.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Unpack = Callable[[Any], Any]
"""`unpack(packed)`: the arrays again; the packed ones may have more axes before the first."""


def pack(tree: Any) -> tuple[Any, Unpack]:
    """Return arrays [batch, ...] as one of [batch, width] and others; and the way back."""
    leaves, structure = jax.tree.flatten(tree)
    is_packed = [leaf.dtype == bool or leaf.dtype.itemsize == 4 for leaf in leaves]
    packed = [leaf for leaf, is_in in zip(leaves, is_packed, strict=True) if is_in]
    others = [leaf for leaf, is_in in zip(leaves, is_packed, strict=True) if not is_in]
    record = jnp.concatenate([_bits(leaf) for leaf in packed], axis=1)
    kinds = [(leaf.shape[1:], leaf.dtype) for leaf in packed]

    def unpack(made: tuple[jax.Array, list[jax.Array]]) -> Any:
        whole, rest = made
        found, start = [], 0
        for shape, dtype in kinds:
            width = math.prod(shape)
            part = whole[..., start : start + width].reshape(*whole.shape[:-1], *shape)
            found.append(_typed(part, dtype))
            start += width
        of_record, of_rest = iter(found), iter(rest)
        return structure.unflatten([next(of_record if is_in else of_rest) for is_in in is_packed])

    return (record, others), unpack


def _bits(leaf: jax.Array) -> jax.Array:
    flat = leaf.reshape(len(leaf), -1)
    if leaf.dtype == bool:
        return flat.astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(flat, jnp.uint32)


def _typed(part: jax.Array, dtype: Any) -> jax.Array:
    if jnp.issubdtype(dtype, jnp.bool_):
        return part > 0
    return jax.lax.bitcast_convert_type(part, dtype)
