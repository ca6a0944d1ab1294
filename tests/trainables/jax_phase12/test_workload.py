"""Phases 1 and 2 as workloads: their numbers, their seeds, and the bars that are held out."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from places import ROOT
from trainables.jax_phase12 import ppo
from trainables.jax_phase12.workload import phase1, phase2
from trainables.jax_workload import JaxWorkload
from trainables.market.sessions import WINDOW_BARS
from trainables.workload import WorkloadInputError

PROGRAM = """
from trainables.jax_phase12 import workload
config = {"num_envs": 8, "num_steps": 8, "batch_size": 64, "num_epochs": 1}
training = workload.phase1(config, {})
training.run(1)
print(sorted({str(leaf.dtype) for leaf in __import__("jax").tree.leaves(training._state)}))
"""


@pytest.mark.parametrize(
    "variables",
    [
        {
            "JAX_ENABLE_X64": "1",
            "JAX_NUMPY_DTYPE_PROMOTION": "strict",
            "JAX_NUMPY_RANK_PROMOTION": "raise",
        },
    ],
)
def test_the_training_keeps_its_own_numbers(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "64" not in done.stdout


CONFIG = {"num_envs": 64, "num_steps": 32, "batch_size": 1024, "num_epochs": 1}
LAST = {"synthetic_days": 4, "held_out": 0.25}
FIRST_HELD_OUT = 3 * 390  # bars: of the last of four days


def begun(options, phase=phase1) -> tuple[JaxWorkload, ppo.TrainState]:
    """A workload before its first update, which takes a while to compile, and its state."""
    workload = phase(CONFIG, options)
    workload._state = jax.jit(workload._first_state)()
    return workload, workload._state


def same(one, other) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, other))


def test_another_seed_of_training_has_the_same_market_and_another_network():
    _, plain = begun({"synthetic_days": 2, "seed": 3})
    _, said = begun({"synthetic_days": 2, "seed": 3, "training_seed": 3})
    _, other = begun({"synthetic_days": 2, "seed": 3, "training_seed": 4})
    assert same(plain.env, said.env)
    assert same(plain.network, said.network)
    assert same(plain.env, other.env)
    assert not same(plain.network, other.network)
    assert not same(plain.env_states, other.env_states)


def poisoned(state: ppo.TrainState, bars: slice, features: slice) -> ppo.TrainState:
    """The state in a market whose prices of these bars, and these features, are NaN."""
    market = state.env.market
    market = market._replace(
        prices=jnp.asarray(market.prices).at[bars].set(jnp.nan),
        features=jnp.asarray(market.features).at[features].set(jnp.nan),
    )
    return state._replace(env=dataclasses.replace(state.env, market=market))


def test_nothing_is_trained_on_the_part_that_is_held_out():
    workload, state = begun(LAST)
    assert state.env.market.episode_end[state.env.market.starts].max() < FIRST_HELD_OUT
    held_out = slice(FIRST_HELD_OUT, None)
    workload._state = poisoned(state, held_out, held_out)
    workload.run(20)
    assert np.isfinite(list(workload.health().values())).all()
    assert int(workload._state.env_states.bar.max()) < FIRST_HELD_OUT


@pytest.mark.parametrize("phase", [phase1, phase2])
def test_it_is_judged_on_the_part_that_is_held_out_alone(phase):
    workload, state = begun(LAST, phase)
    value = workload.evaluate()
    assert np.isfinite(value)
    before = slice(None, FIRST_HELD_OUT - WINDOW_BARS)
    workload._state = poisoned(state, slice(None, FIRST_HELD_OUT), before)
    assert workload.evaluate() == value
    held_out = slice(FIRST_HELD_OUT, None)
    workload._state = poisoned(state, held_out, held_out)
    assert np.isnan(workload.evaluate())


def test_without_a_part_that_is_held_out_there_is_nothing_to_judge_by():
    workload, _ = begun({"synthetic_days": 2})
    assert workload.evaluate() is None


def test_a_history_that_is_too_short_to_hold_out_a_part_is_wrong_input():
    with pytest.raises(WorkloadInputError, match="no episode fits into the last 1% of the 780"):
        phase1(CONFIG, {"synthetic_days": 2, "held_out": 0.01})


OPENS = """
from jax._src import xla_bridge
from trainables.jax_phase12 import workload
workload.phase1({"num_envs": 8, "num_steps": 8, "batch_size": 64}, {"held_out": 0.2})
assert not xla_bridge.backends_are_initialized()
"""


def test_a_training_that_is_built_has_not_opened_the_device():
    done = subprocess.run(
        [sys.executable, "-c", OPENS],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
