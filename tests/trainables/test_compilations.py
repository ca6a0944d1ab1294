"""Compilations by frameworks that a workload has imported, counted from outside of it."""

import sys
import types

import jax
import jax.numpy as jnp
import pytest

from trainables.compilations import Compilations


def test_each_new_program_of_jax_counts_once() -> None:
    compilations = Compilations()
    function = jax.jit(lambda x: x * 3.0 + 1.0)
    function(jnp.ones(7))
    first = compilations.count
    assert first
    function(jnp.ones(7))
    assert compilations.count == first
    function(jnp.ones(9))  # another shape is another program
    assert compilations.count > first


def test_graphs_of_torch_compile_count_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamo = types.SimpleNamespace(counters={"stats": {"unique_graphs": 4}})
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", dynamo)
    monkeypatch.delitem(sys.modules, "jax")
    compilations = Compilations()
    assert compilations.count == 0
    dynamo.counters["stats"]["unique_graphs"] = 6
    assert compilations.count == 2


def test_without_a_framework_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jax")
    assert Compilations().count is None
