"""The actor-critic network: parameters as a pytree, `apply` as a function. Plain JAX.

observation -> [dense 256, layer norm, relu] x 2 -> dense 128, relu -> logits
                                                 -> dense 128, relu -> value
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

_POLICY_GAIN = 0.007  # of the last policy layer, beside He's
_FORBIDDEN = -1e9  # a probability of exactly 0, yet finite: 0 * -inf in the entropy would be NaN


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """Units of the two trunk layers, and of each head's hidden layer."""

    trunk: int = 256
    head: int = 128


class Dense(NamedTuple):
    """A dense layer. weight: [in, out]. bias: [out]."""

    weight: jax.Array
    bias: jax.Array


class Normed(NamedTuple):
    """A dense layer and a layer norm. weight: [in, out]. scale, offset: [out]; no other bias."""

    weight: jax.Array
    scale: jax.Array
    offset: jax.Array


class Network(NamedTuple):
    """All parameters. `heads` is both heads' hidden layers side by side: one product, not two."""

    trunk: tuple[Normed, Normed]
    heads: Dense
    policy: Dense
    value: Dense


def init_network(
    key: jax.Array, num_inputs: int, num_actions: int, size: NetworkSize = NetworkSize()
) -> Network:
    """Draw He-normal weights. The last policy layer is small, so the first policy is uniform.

    It is one draw: of all code to compile, that of a draw takes longest.
    """
    hidden, heads = size.trunk, 2 * size.head
    shapes = (
        (num_inputs, hidden),
        (hidden, hidden),
        (hidden, heads),
        (size.head, num_actions),
        (size.head, 1),
    )
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    drawn = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
    first, second, third, policy, value = (
        part.reshape(shape) * (2 / shape[0]) ** 0.5
        for part, shape in zip(drawn, shapes, strict=True)
    )
    return Network(
        trunk=(_normed(first), _normed(second)),
        heads=_dense(third),
        policy=_dense(policy * _POLICY_GAIN),
        value=_dense(value),
    )


def apply_network(
    network: Network, observations: jax.Array, action_mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return masked logits [batch, num_actions] and values [batch].

    observations: [batch, num_inputs]. action_mask: [batch, num_actions], True where allowed.
    """
    x = observations
    for layer in network.trunk:
        x = jax.nn.relu(_layer_norm(x @ layer.weight) * layer.scale + layer.offset)
    x = jax.nn.relu(x @ network.heads.weight + network.heads.bias)
    policy, value = jnp.split(x, 2, axis=-1)
    logits = policy @ network.policy.weight + network.policy.bias
    values = value @ network.value.weight + network.value.bias
    return jnp.where(action_mask, logits, _FORBIDDEN), values[:, 0]


class FusedNetwork(NamedTuple):
    """A network to be applied many times: fewer products and sums, the same function.

    The weights of `trunk` have rows of mean 0, so that layer norm has no mean to take out. `last`
    has both heads' last layers in one: [2 * head, num_actions + 1].
    """

    trunk: tuple[Normed, Normed]
    heads: Dense
    last: Dense


def fuse(network: Network) -> FusedNetwork:
    """Return the network as a rollout applies it. It is not worth it for a single batch."""
    policy, value = network.policy, network.value
    of_value, of_policy = jnp.zeros_like(policy.weight), jnp.zeros_like(value.weight)
    weight = jnp.block([[policy.weight, of_policy], [of_value, value.weight]])
    return FusedNetwork(
        trunk=(_centred(network.trunk[0]), _centred(network.trunk[1])),
        heads=network.heads,
        last=Dense(weight, jnp.concatenate([policy.bias, value.bias])),
    )


def apply_fused(
    network: FusedNetwork, observations: jax.Array, action_mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return what `apply_network` does."""
    x = observations
    for layer in network.trunk:
        x = x @ layer.weight
        scale = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-5)
        x = jax.nn.relu(x * scale * layer.scale + layer.offset)
    x = jax.nn.relu(x @ network.heads.weight + network.heads.bias)
    x = x @ network.last.weight + network.last.bias
    return jnp.where(action_mask, x[:, :-1], _FORBIDDEN), x[:, -1]


def _centred(layer: Normed) -> Normed:
    return layer._replace(weight=layer.weight - jnp.mean(layer.weight, axis=1, keepdims=True))


def _layer_norm(x: jax.Array) -> jax.Array:
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True) - jnp.square(mean)
    return (x - mean) * jax.lax.rsqrt(jnp.maximum(variance, 0.0) + 1e-5)


def _dense(weight: jax.Array) -> Dense:
    return Dense(weight, jnp.zeros(weight.shape[1]))


def _normed(weight: jax.Array) -> Normed:
    num_units = weight.shape[1]
    return Normed(weight, jnp.ones(num_units), jnp.zeros(num_units))
