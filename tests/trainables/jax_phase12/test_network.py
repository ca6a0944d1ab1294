"""The network as a rollout applies it, against the one that learns."""

import jax
import numpy as np

from trainables.jax_phase12.network import (
    Network,
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


def test_the_weights_are_he_normal_and_one_draw() -> None:
    """Of all that is compiled for the first state, a draw takes longest."""

    def drawn(key: jax.Array) -> Network:
        return init_network(key, 40, 6, NetworkSize(trunk=256, head=128))

    assert str(jax.make_jaxpr(drawn)(jax.random.key(0))).count("random_bits[") == 1
    network = drawn(jax.random.key(0))
    layers = (*network.trunk, network.heads, network.policy, network.value)
    shapes = [(40, 256), (256, 256), (256, 256), (128, 6), (128, 1)]
    assert [layer.weight.shape for layer in layers] == shapes
    scales = [float(layer.weight.std()) * (layer.weight.shape[0] / 2) ** 0.5 for layer in layers]
    np.testing.assert_allclose(scales, [1.0, 1.0, 1.0, 0.007, 1.0], rtol=0.15)
    flat = np.concatenate([np.ravel(layer.weight) for layer in layers])
    assert len(np.unique(flat)) > 0.99 * len(flat), "no number is drawn for two weights"
