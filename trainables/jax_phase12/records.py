"""Records: the arrays of one step side by side in one array, so that one kernel stores them all.

Plain JAX, pure. Numbers of four bytes keep their bits, as unsigned integers: an integer in the
place of a float could be flushed to zero. Flags become numbers; what has another size is left as it
is.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class RecordLayout(NamedTuple):
    """The structure of what a record holds, and the shape [after batch] and dtype of each leaf."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], Any], ...]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """Arrays in one: `words` [..., batch, width], and the `others`, which are not of four bytes.

    A scan may carry it, or stack it.
    """

    words: jax.Array
    others: list[jax.Array]
    layout: RecordLayout = dataclasses.field(metadata={"static": True})

    def unpack(self) -> Any:
        """Return the arrays again, [..., batch, ...]."""
        others, start, leaves = iter(self.others), 0, []
        for shape, dtype in self.layout.leaves:
            if not _is_word(dtype):
                leaves.append(next(others))
                continue
            width = math.prod(shape)
            part = self.words[..., start : start + width].reshape(*self.words.shape[:-1], *shape)
            start += width
            is_flag = dtype == jnp.bool_
            leaves.append(part > 0 if is_flag else jax.lax.bitcast_convert_type(part, dtype))
        return self.layout.structure.unflatten(leaves)


def pack(tree: Any) -> Record:
    """Return arrays [batch, ...] as one record."""
    leaves, structure = jax.tree.flatten(tree)
    return Record(
        words=jnp.concatenate([_words(leaf) for leaf in leaves if _is_word(leaf.dtype)], axis=1),
        others=[leaf for leaf in leaves if not _is_word(leaf.dtype)],
        layout=RecordLayout(structure, tuple((leaf.shape[1:], leaf.dtype) for leaf in leaves)),
    )


def _is_word(dtype: Any) -> bool:
    return bool(dtype == jnp.bool_ or dtype.itemsize == 4)


def _words(leaf: jax.Array) -> jax.Array:
    flat = leaf.reshape(len(leaf), -1)
    if leaf.dtype == jnp.bool_:
        return flat.astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(flat, jnp.uint32)
