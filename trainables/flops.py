"""The floating-point operations of a traced JAX program, and how fast a device makes them."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.interpreters.partial_eval
import jax.numpy as jnp

_SIZES = {"cpu": 1024, "gpu": 4096}
"""Rows of a product by platform: large enough that its launch does not count."""

_NUM_RUNS = 4


def matmul_flops(jaxpr: Any) -> float:
    """Return the floating-point operations of a jaxpr's matrix products and convolutions.

    Loop bodies count by their trip counts; XLA's `cost_analysis` counts a scan's body once. A
    `while_loop`, whose trip count is not known, counts once, a `cond` as its most costly branch.
    All other operations are left out (a few percent of a network's work).
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2.0 * depth * equation.outvars[0].aval.size
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            out_channels = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
            total += 2.0 * kernel.size / out_channels * equation.outvars[0].aval.size
        elif name == "cond":
            total += max(matmul_flops(branch.jaxpr) for branch in params["branches"])
        else:
            trips = params["length"] if name == "scan" else 1
            total += trips * sum(matmul_flops(inner) for inner in _inner_jaxprs(params))
    return total


def dead_share(jaxpr: Any) -> float | None:
    """Return the share of a jaxpr's `matmul_flops` that reach none of its outputs.

    `None` without any, or where this JAX does not offer its elimination of dead code.
    """
    flops = matmul_flops(jaxpr)
    eliminate = getattr(jax.interpreters.partial_eval, "dce_jaxpr", None)  # not a stable API
    if not flops or eliminate is None:
        return None
    living, _ = eliminate(jaxpr, [True] * len(jaxpr.outvars))
    return 1.0 - matmul_flops(living) / flops


def product_dtypes(jaxpr: Any) -> Iterator[Any]:
    """Yield the number format of each matrix product and convolution of a jaxpr."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation.invars[0].aval.dtype
        branches = [branch.jaxpr for branch in equation.params.get("branches", ())]
        for inner in (*branches, *_inner_jaxprs(equation.params)):
            yield from product_dtypes(inner)


def product_speed(dtype: Any) -> float:
    """Return the operations per second of the fastest of some large products in this format."""
    size = _SIZES.get(jax.default_backend(), _SIZES["gpu"])
    product = jax.jit(jnp.matmul)
    matrix = jnp.ones((size, size), dtype)
    product(matrix, matrix).block_until_ready()
    seconds = []
    for _ in range(_NUM_RUNS):
        started = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return 2.0 * size**3 / min(seconds)


def _inner_jaxprs(params: Mapping[str, Any]) -> list[Any]:
    """Return the jaxprs among an equation's parameters: bodies of scan, jit, custom_vjp, ..."""
    closed = (getattr(value, "jaxpr", value) for value in params.values())
    return [jaxpr for jaxpr in closed if hasattr(jaxpr, "eqns")]
