"""Operations counted from traces, without running anything."""

import jax
import jax.numpy as jnp
import pytest

from trainables.flops import dead_share, matmul_flops, product_dtypes


def scanned(x):
    return jax.lax.scan(lambda carry, _: (carry @ carry, None), x, None, length=5)[0]


def branching(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x, x)


def convolved(x):
    return jax.lax.conv_general_dilated(x[None, None], x[None, None, :2, :2], (1, 1), "SAME")


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (lambda x: x @ x, 1),
        (scanned, 5),
        (jax.grad(lambda x: scanned(x).sum()), 15),
        (jax.vmap(lambda row: row @ jnp.ones((8, 8))), 1),
        (jax.jit(jax.checkpoint(scanned)), 5),
        (branching, 2),
        (convolved, 4 / 8),
        (jnp.sin, 0),
    ],
)
def test_matrix_products_are_counted_by_trips(function, products):
    jaxpr = jax.make_jaxpr(function)(jnp.ones((8, 8)))
    assert matmul_flops(jaxpr.jaxpr) == products * 2 * 8**3


def dropped(x):
    scanned(x)
    return x @ x


@pytest.mark.parametrize(
    ("function", "share"),
    [(scanned, 0.0), (jax.jit(dropped), 5 / 6), (lambda x: (scanned(x), x + 1)[1], 1.0)],
)
def test_products_that_reach_no_output_are_dead(function, share):
    jaxpr = jax.make_jaxpr(function)(jnp.ones((8, 8)))
    assert dead_share(jaxpr.jaxpr) == pytest.approx(share)


def test_without_products_none_are_dead():
    assert dead_share(jax.make_jaxpr(jnp.sin)(jnp.ones(8)).jaxpr) is None


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x: x @ x, ["float32"]),
        (lambda x: x.astype(jnp.bfloat16) @ x.astype(jnp.bfloat16), ["bfloat16"]),
        (scanned, ["float32"]),
        (branching, ["float32", "float32"]),
        (jnp.sin, []),
    ],
)
def test_the_formats_of_products_are_found(function, names):
    jaxpr = jax.make_jaxpr(function)(jnp.ones((8, 8)))
    assert [str(dtype) for dtype in product_dtypes(jaxpr.jaxpr)] == names
