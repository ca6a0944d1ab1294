"""Records: what went in comes out, bit by bit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from trainables.jax_phase12 import records

TREE: dict[str, Any] = {
    "float": jnp.array([[0.1, -jnp.inf], [jnp.nan, 3e38]]),
    "count": jnp.array([2**31 - 1, -7], jnp.int32),
    "bits": jnp.array([[[2**32 - 1]], [[0x7FC00001]]], jnp.uint32),  # a NaN's bits too
    "flag": jnp.array([True, False]),
    "pixels": jnp.array([[1, 2, 3], [255, 0, 9]], jnp.uint8),
}


def assert_same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for mine, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


def test_arrays_come_back_with_their_types_and_bits() -> None:
    (record, others), unpack = records.pack(TREE)
    assert record.shape == (2, 5)
    assert [other.dtype for other in others] == [jnp.uint8]
    assert_same(unpack((record, others)), TREE)


def test_a_rollout_of_records_is_one_of_arrays() -> None:
    (record, others), unpack = records.pack(TREE)
    made = unpack((jnp.stack([record] * 4), [jnp.stack([other] * 4) for other in others]))
    assert_same(made, jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), TREE))
