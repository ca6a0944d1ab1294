"""PPO: its parts against plain NumPy, and that it learns."""

import dataclasses
import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.gymnax_env import make_gymnax_env
from trainables.health import NOISE_SCALE
from trainables.jax_phase12 import network, ppo
from trainables.jax_phase12.adam import adam_step, init_adam, squared_norm
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_phase12.network import NetworkSize, apply_network, init_network
from trainables.jax_phase12.statistics import (
    gradient_noise_scale,
    init_noise_scale,
    init_returns,
    updated_noise_scale,
    updated_returns,
)
from trainables.market.features import build_market
from trainables.market.positions import PHASE_1, PHASE_2
from trainables.market.synthetic import synthetic_bars

CONFIG = PpoConfig(num_envs=64, num_steps=64, batch_size=512)
SMALL = Hyperparameters(learning_rate=2.5e-3, network=NetworkSize(trunk=64, head=32))


@functools.cache
def trend_market():
    """60 sessions whose direction turns every 30 bars: the moving averages give it away."""
    return build_market(synthetic_bars(seed=0, num_days=60, trend=0.5))


@functools.cache
def compiled_init(rules):
    """The first state of CONFIG by its key; whatever the number of devices, it is the same."""
    env = TradingEnv(market=trend_market(), rules=rules)
    return jax.jit(lambda key: ppo.init_train_state(key, env, CONFIG, Hyperparameters()))


@functools.cache
def compiled_collect(rules):
    """`ppo.collect` of states that `compiled_init` makes: each set of rules has its program."""
    return jax.jit(functools.partial(ppo.collect, config=CONFIG))


@functools.cache
def compiled_update(rules, num_devices: int):
    """The update of states that `compiled_init` makes, in the parts of so many devices."""
    config = dataclasses.replace(CONFIG, num_devices=num_devices)
    return jax.jit(ppo.make_update(config, Hyperparameters()))


@functools.cache
def random_policy_return(rules, num_rollouts: int = 12) -> float:
    """Mean return of the untrained network, whose policy is uniform over what is allowed."""
    state = compiled_init(rules)(jax.random.key(0))
    for key in jax.random.split(jax.random.key(99), num_rollouts):
        env_states, _, returns, _ = compiled_collect(rules)(state, key)
        state = state._replace(env_states=env_states, returns=returns)
    assert returns.num_episodes > CONFIG.num_envs
    return float(returns.mean)


@pytest.mark.seconds(130)
@pytest.mark.parametrize(
    ("rules", "num_devices"),
    [(PHASE_1, 1), (PHASE_2, 1), (PHASE_1, 4)],
    ids=["phase 1", "phase 2", "phase 1 in the parts of four devices"],
)
def test_it_learns_a_planted_trend(rules, num_devices):
    """80,000 steps take the return to twice the random policy's and more, whatever the seed.

    The random policy earns too: with a target three times the stop, a trend pays by itself.
    """
    update = compiled_update(rules, num_devices)
    random_return = random_policy_return(rules)
    for seed in range(3):
        state = compiled_init(rules)(jax.random.key(seed))
        for _ in range(20):
            state, metrics = update(state)
        assert metrics["mean_return"] > 2 * random_return, f"seed {seed}"
        assert metrics["mean_return"] > random_return + 10, f"seed {seed}"


def test_it_learns_cartpole():
    config = PpoConfig(num_envs=16, num_steps=128, batch_size=256)
    env = make_gymnax_env("CartPole-v1")
    state = ppo.init_train_state(jax.random.key(0), env, config, SMALL)
    update = jax.jit(ppo.make_update(config, SMALL))
    for _ in range(80):
        state, metrics = update(state)
    assert metrics["mean_return"] > 150


@pytest.mark.parametrize(
    ("num_envs", "num_steps", "batch_size", "num_minibatches"),
    [(256, 128, 8192, 4), (16, 128, 32, 64), (3, 7, 21, 1), (3, 7, 7, 3), (1, 8, 1, 8)],
)
def test_any_batch_size_that_divides_is_a_number_of_minibatches(
    num_envs, num_steps, batch_size, num_minibatches
):
    config = PpoConfig(num_envs=num_envs, num_steps=num_steps, batch_size=batch_size)
    assert config.num_minibatches == num_minibatches


def test_the_same_seed_gives_the_same_run():
    init, update = compiled_init(PHASE_2), compiled_update(PHASE_2, 1)
    (_, one), (_, same), (_, other) = (update(init(jax.random.key(seed))) for seed in (1, 1, 2))
    assert one == same
    assert one["policy_loss"] != other["policy_loss"]
    assert all(np.isfinite(value) for name, value in one.items() if name != NOISE_SCALE)


@pytest.mark.parametrize(
    ("of_config", "of_process", "products"),
    [
        (None, None, None),
        (None, "highest", "(Precision.HIGHEST, Precision.HIGHEST)"),
        ("highest", None, "(Precision.HIGHEST, Precision.HIGHEST)"),
        ("default", "highest", "(Precision.DEFAULT, Precision.DEFAULT)"),
        ("BF16_BF16_F32", None, "BF16_BF16_F32"),
    ],
)
def test_all_products_have_the_precision_that_was_asked_for(of_config, of_process, products):
    config = dataclasses.replace(CONFIG, matmul_precision=of_config)
    env = TradingEnv(market=trend_market(), rules=PHASE_1)
    init = functools.partial(ppo.init_train_state, jax.random.key(0), env, config, SMALL)
    with jax.default_matmul_precision(of_process):
        traced = jax.make_jaxpr(ppo.make_update(config, SMALL))(jax.eval_shape(init))
    num_products = str(traced).count("= dot_general[")
    asked = re.findall(r"^ *precision=(.*)$", str(traced), re.MULTILINE)
    assert asked == [products] * num_products if products else not asked
    assert num_products > 10


@pytest.mark.seconds(30)
def test_rounding_products_changes_the_first_update_less_than_another_seed_does(monkeypatch):
    """What `tune.search.levers` allows a lever to change lies between the two."""
    env = TradingEnv(market=trend_market(), rules=PHASE_1)
    customary = Hyperparameters(network=SMALL.network)
    init = jax.jit(lambda key: ppo.init_train_state(key, env, CONFIG, customary))

    def first_updates() -> list[dict[str, float]]:
        update = jax.jit(ppo.make_update(CONFIG, customary))
        metrics = [update(init(jax.random.key(seed)))[1] for seed in range(8)]
        return [{name: float(value) for name, value in one.items()} for one in metrics]

    def changes(one: dict[str, float], two: dict[str, float]) -> list[float]:
        return [
            abs(one[name] - two[name]) / max(abs(one[name]), abs(two[name]), 1e-9)
            for name in one.keys() - {NOISE_SCALE}
            if np.isfinite([one[name], two[name]]).all()
        ]

    exact = first_updates()
    rounded_network = rounding_products(network)
    monkeypatch.setattr(ppo, "apply_network", rounded_network["apply_network"])
    monkeypatch.setattr(ppo, "apply_fused", rounded_network["apply_fused"])
    for seed, (rounded, known) in enumerate(zip(first_updates(), exact, strict=True)):
        assert 0.0 < max(changes(rounded, known)) < 0.03, f"seed {seed}"
    assert np.median(changes(exact[1], exact[0])) > 0.05
    scales = [one[NOISE_SCALE] for one in exact]
    assert max(scales) > 3 * min(scales), "of one update it tells little"


def rounding_products(module):
    """The functions of a module with the factors of all products, those of gradients too, rounded
    to bfloat16, which a CPU does not do by itself.
    """
    source = re.sub(r"(\w+) @ ([\w.]+)", r"_product(\1, \2)", inspect.getsource(module))

    def rounded(values):
        return values.astype(jnp.bfloat16).astype(jnp.float32)

    @jax.custom_vjp
    def product(one, two):
        return rounded(one) @ rounded(two)

    product.defvjp(
        lambda one, two: (product(one, two), (one, two)),
        lambda kept, slope: (
            rounded(slope) @ rounded(kept[1]).T,
            rounded(kept[0]).T @ rounded(slope),
        ),
    )
    functions = {"__name__": module.__name__, "_product": product}
    exec(compile(source, module.__file__, "exec"), functions)
    return functions


def test_forbidden_actions_are_never_taken():
    state = compiled_init(PHASE_2)(jax.random.key(0))
    *_, rollout = compiled_collect(PHASE_2)(state, state.key)
    allowed = jax.vmap(jax.vmap(state.env.action_mask))(rollout.view)
    taken = jnp.take_along_axis(allowed, rollout.action[..., None], axis=-1)
    assert taken.all()
    assert not allowed.all()
    assert set(np.unique(rollout.action)) == set(range(6))


def test_a_masked_action_has_no_probability_and_the_entropy_is_finite():
    network = init_network(jax.random.key(0), 5, 3, NetworkSize(trunk=8, head=4))
    mask = jnp.array([[True, False, False], [True, True, False]])
    logits, values = apply_network(network, jnp.ones((2, 5)), mask)
    assert values.shape == (2,)
    probabilities = jax.nn.softmax(logits)
    np.testing.assert_array_equal(probabilities[0], [1, 0, 0])
    np.testing.assert_allclose(probabilities[1], [0.5, 0.5, 0], atol=0.02)
    assert np.isfinite(jax.nn.log_softmax(logits) * probabilities).all()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Countdown:
    """Five steps of reward 1; the state and its view are the step."""

    num_actions = 2

    def reset(self, key):
        return jnp.int32(0)

    def view(self, state):
        return state

    def observe(self, view):
        return jnp.full(3, view, jnp.float32)

    def action_mask(self, view):
        return jnp.ones(2, bool)

    def step(self, key, state, action):
        return jnp.where(state == 4, 0, state + 1), jnp.float32(1.0), state == 4


def test_a_return_is_one_episodes_reward_whichever_rollouts_it_spans():
    config = PpoConfig(num_envs=2, num_steps=7, batch_size=14)
    state = ppo.init_train_state(jax.random.key(0), Countdown(), config, SMALL)
    for episodes_so_far in (2, 4, 8):
        env_states, moments, returns, rollout = ppo.collect(state, state.key, config)
        state = state._replace(env_states=env_states, moments=moments, returns=returns)
        assert (returns.mean, returns.num_episodes) == (5, episodes_so_far)
    assert rollout.view.tolist() == [[step % 5] * 2 for step in range(14, 21)]
    np.testing.assert_allclose(moments.mean, np.mean([step % 5 for step in range(21)]), rtol=1e-5)


def test_adam_agrees_with_optax():
    parameters = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(4)}
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-2, eps=1e-5))
    expected, optax_state = parameters, optimizer.init(parameters)
    mine, adam = parameters, init_adam(parameters)
    for seed, scale in enumerate((10.0, 0.01, 1.0)):
        noise = jax.random.normal(jax.random.key(seed), (10,)) * scale
        gradient = {"a": noise[:6].reshape(2, 3), "b": noise[6:]}
        updates, optax_state = optimizer.update(gradient, optax_state)
        expected = optax.apply_updates(expected, updates)
        norm = jnp.sqrt(squared_norm(gradient))
        mine, adam = adam_step(mine, gradient, norm, adam, 1e-2, 0.5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), mine, expected)


def test_mean_return_is_a_real_figure_from_the_first_update_on():
    returns = updated_returns(
        init_returns(2), jnp.array([1.0, 3.0]), jnp.float32(0), jnp.float32(0)
    )
    assert (returns.mean, returns.num_episodes) == (2, 0)  # no episode has ended: the running ones
    returns = updated_returns(returns, jnp.zeros(2), jnp.float32(8.0), jnp.float32(1.0))
    assert returns.mean == 8
    returns = updated_returns(returns, jnp.zeros(2), jnp.float32(0.0), jnp.float32(0.0))
    assert returns.mean == 8
    returns = updated_returns(returns, jnp.zeros(2), jnp.float32(4.0), jnp.float32(1.0))
    assert returns.mean == 6
    returns = updated_returns(returns, jnp.zeros(2), jnp.float32(20.0), jnp.float32(2.0))
    assert returns.mean == 10  # a full window of new episodes: the old ones are forgotten


def test_noise_scale_is_the_trace_over_the_squared_signal():
    rng = np.random.default_rng(0)
    size, batch_size, num_minibatches = 400, 8, 16
    signal, deviation = np.full(size, 0.1), 0.5  # |G|^2 = 4, trace = 100: the noise scale is 25
    noise = init_noise_scale()
    for _ in range(60):
        gradients = signal + deviation / batch_size**0.5 * rng.normal(size=(num_minibatches, size))
        small = (gradients**2).sum(axis=1).mean()
        large = (gradients.mean(axis=0) ** 2).sum()
        noise = updated_noise_scale(noise, small, large, batch_size, batch_size * num_minibatches)
    assert gradient_noise_scale(noise, num_samples=128) == pytest.approx(25, rel=0.1)


@pytest.mark.parametrize(
    ("trace", "square", "scale"),
    [(5, -1, np.inf), (5, 0, np.inf), (0, 0, np.inf), (5, 0.006, 5 / 0.006), (5, 0.005, np.inf)],
)
def test_noise_scale_without_a_signal_is_not_known(trace, square, scale):
    noise = init_noise_scale()._replace(trace=jnp.float32(trace), square=jnp.float32(square))
    assert gradient_noise_scale(noise, num_samples=10) == pytest.approx(scale)
