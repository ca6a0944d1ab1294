"""The network as a rollout applies it, against the one that learns."""

import jax
import numpy as np

from trainables.jax_phase12.network import (
    NetworkSize,
    apply_fused,
    apply_network,
    fuse,
    init_network,
)


def test_fewer_products_are_the_same_function() -> None:
    network = init_network(jax.random.key(0), 9, 4, NetworkSize(trunk=32, head=16))
    one, other = (jax.random.normal(key, (64, 9)) for key in jax.random.split(jax.random.key(1)))
    biased = jax.tree.map(lambda leaf: leaf + 0.1, network)  # biases begin at zero
    for some in (network, biased):
        pairs = zip(
            apply_fused(fuse(some), one, other[:, :4] > -1.0),
            apply_network(some, one, other[:, :4] > -1.0),
            strict=True,
        )
        for fused, plain in pairs:
            np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)
