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
    record = records.pack(TREE)
    assert record.words.shape == (2, 5)
    assert [other.dtype for other in record.others] == [jnp.uint8]
    assert_same(record.unpack(), TREE)


def test_a_scan_carries_records_and_stacks_them() -> None:
    def step(carry: records.Record, _: None) -> tuple[records.Record, records.Record]:
        return records.pack(carry.unpack()), carry

    last, made = jax.lax.scan(step, records.pack(TREE), None, length=4)
    assert_same(last.unpack(), TREE)
    assert_same(made.unpack(), jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), TREE))
