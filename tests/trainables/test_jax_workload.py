"""The adaptor for JAX update functions, and Phases 1 and 2 through the Protocol."""

import functools

import jax
import jax.numpy as jnp
import pytest

from trainables import workload as protocol
from trainables.jax_phase12.workload import phase1, phase2
from trainables.jax_workload import JaxWorkload

CONFIG = {"num_envs": 8, "num_steps": 16, "batch_size": 32}
OPTIONS = {"synthetic_days": 2}


@functools.cache
def compiled(factory, num_envs):
    """A phase's workload with so many environments, and its program."""
    workload = factory(CONFIG | {"num_envs": num_envs}, OPTIONS)
    return workload, workload.compile()


def count_up(state):
    return {"count": state["count"] + 1, "sum": state["sum"] * 0.5}, {"count": state["count"]}


def zeros():
    return {"count": jnp.int32(0), "sum": jnp.zeros(1000)}


def test_it_offers_every_protocol():
    workload = JaxWorkload(count_up, zeros, env_steps_per_update=7)
    for member in (
        protocol.Workload,
        protocol.Compiles,
        protocol.ReportsHealth,
        protocol.ReportsDevice,
        protocol.Evaluates,
    ):
        assert isinstance(workload, member)
    assert workload.env_steps_per_update == 7


def test_updates_are_counted_and_health_is_the_last_one():
    workload = JaxWorkload(count_up, zeros, env_steps_per_update=1)
    assert workload.health() == {}
    workload.run(3)
    workload.run(2)
    assert workload.health() == {"count": 4.0}


def test_it_is_evaluated_by_its_state_of_now():
    workload = JaxWorkload(
        count_up, zeros, env_steps_per_update=1, evaluation=lambda state: 10.0 * state["count"]
    )
    assert workload.evaluate() is None, "nothing is trained yet"
    for count in (3, 5):
        workload.run(count - int(workload.health().get("count", -1.0)) - 1)
        assert workload.evaluate() == workload.evaluate() == 10.0 * count
    compilations = workload.device_usage().num_compilations
    workload.run(1)
    assert (type(workload.evaluate()), workload.evaluate()) == (float, 60.0)
    assert workload.device_usage().num_compilations == compilations


def test_without_an_evaluation_there_is_none():
    workload = JaxWorkload(count_up, zeros, env_steps_per_update=1)
    workload.run(1)
    assert workload.evaluate() is None


def test_a_fingerprint_tells_whether_training_changed_anything():
    def learn(rate):
        def update(state):
            return {**state, "weights": state["weights"] - rate, "step": state["step"] + 1}, {}

        return update

    def start():
        return {"weights": jnp.ones(3), "step": jnp.int32(0), "data": jnp.ones((2**19,))}

    def digests(rate):
        loop = JaxWorkload(learn(rate), start, env_steps_per_update=1)
        for _ in range(2):
            loop.run(1)
            yield loop.fingerprint()

    assert len(set(digests(rate=0.1))) == 2
    assert len(set(digests(rate=0.0))) == 1, "a counter is no training"
    counter = JaxWorkload(lambda n: (n + 1, {}), lambda: jnp.int32(0), env_steps_per_update=1)
    counter.run(1)
    assert counter.fingerprint() == b"", "without floating-point numbers nothing can be told"


def test_the_peak_is_of_the_update_s_own_products():
    loop = JaxWorkload(count_up, zeros, env_steps_per_update=1)
    loop.compile()
    assert loop.peak_flops() is None
    product = JaxWorkload(lambda x: (x @ x, {}), lambda: jnp.eye(8), env_steps_per_update=1)
    product.compile()
    assert product.peak_flops() > 1e8


def test_devices_that_are_not_there_are_a_configuration_that_cannot_run():
    loop = JaxWorkload(count_up, zeros, env_steps_per_update=1, num_devices=2)
    with pytest.raises(protocol.InvalidConfigurationError, match="num_devices 2: this process"):
        loop.compile()


def test_a_promotion_that_follows_from_another_is_made_too():
    """A sum of another's numbers, as PureJaxRL's log of episodes has: both begin as a Python 0."""

    def update(state):
        a, b, c = state
        return (a + 1.0, b + a, c + b), {}

    workload = JaxWorkload(update, lambda: (0, 0, 0), env_steps_per_update=1)
    workload.compile()
    workload.run(3)
    scanned, _ = jax.lax.scan(lambda state, _: update(state), (0.0, 0.0, 0.0), None, 3)
    assert [x.dtype for x in workload._state] == [x.dtype for x in scanned]
    assert [float(x) for x in workload._state] == [float(x) for x in scanned]


def test_python_numbers_of_the_first_state_are_promoted_as_scan_does():
    def update(state):
        return {"step": state["step"] + 1, "mean": state["mean"] + 0.5, "key": state["key"]}, {}

    def start():
        return {"step": 0, "mean": 0, "key": jax.random.key(0)}

    loop = JaxWorkload(update, start, env_steps_per_update=1)
    loop.compile()
    loop.run(3)
    assert float(loop._state["mean"]) == 1.5
    assert int(loop._state["step"]) == 3


def test_a_state_whose_static_parts_are_new_each_time_is_trained():
    """As a TrainState with its optimizer is, whose functions differ, and rejax's classes."""

    def update(state):
        return state.replace(state.value + 1.0), {"value": state.value}

    loop = JaxWorkload(update, lambda: Trained(jnp.float32(0), object()), env_steps_per_update=1)
    loop.run(3)
    assert loop.health() == {"value": 2.0}


@jax.tree_util.register_pytree_node_class
class Trained:
    """A value, with an optimizer as a part of the structure."""

    def __init__(self, value, optimizer):
        self.value, self.optimizer = value, optimizer

    def replace(self, value):
        return Trained(value, self.optimizer)

    def tree_flatten(self):
        return (self.value,), self.optimizer

    @classmethod
    def tree_unflatten(cls, optimizer, leaves):
        return cls(leaves[0], optimizer)


def test_vector_metrics_are_averaged():
    loop = JaxWorkload(lambda s: (s + 1, {"x": jnp.arange(4.0)}), lambda: 0, env_steps_per_update=1)
    loop.run(1)
    assert loop.health() == {"x": 1.5}


def test_compile_needs_no_memory():
    """A state of 4 TB is compiled and counted, though nothing could hold it."""

    def init():
        return jnp.zeros(10**12)

    program = JaxWorkload(lambda x: (x + 1, {}), init, env_steps_per_update=1).compile()
    assert program.device_bytes == pytest.approx(4e12, rel=0.01)


def test_a_donated_state_is_counted_once():
    program = JaxWorkload(count_up, zeros, env_steps_per_update=1).compile()
    assert program.device_bytes is not None
    assert 4004 <= program.device_bytes < 8000


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda x: (x.astype(jnp.float16), {}), r"state was float32\[3\], became float16\[3\]"),
        (lambda x: (x[:2], {}), r"state was float32\[3\], became float32\[2\]"),
        (lambda x: ((x, x), {}), "state of the structure it was given"),
        (lambda x: x, r"update must return \(state, metrics\), metrics by name: got ShapeDtype"),
        (lambda x: (x, (x, x)), "metrics by name: got a pair with tuple"),
    ],
)
def test_a_state_that_changes_shape_is_refused(update, message):
    workload = JaxWorkload(update, lambda: jnp.zeros(3), env_steps_per_update=1)
    with pytest.raises(TypeError, match=message):
        workload.compile()


@pytest.mark.parametrize("factory", [phase1, phase2])
def test_phases_train_and_never_compile_again(factory):
    workload, program = compiled(factory, 8)
    assert program.device_bytes is not None
    # 64 x 4.46 MFLOP forward and backward: rollout, bootstrap and 4 epochs
    assert program.flops_per_update == pytest.approx(8 * 16 * 4.46e6, rel=0.02)
    workload.run(1)
    compilations = workload.device_usage().num_compilations
    first = workload.health()
    workload.run(3)
    assert workload.device_usage().num_compilations == compilations
    assert workload.health() != first
    assert all(value == value for value in workload.health().values())
    assert set(workload.health()) == {
        "mean_return",
        "mean_reward",
        "entropy",
        "approx_kl",
        "policy_loss",
        "value_loss",
        "clip_fraction",
        "gradient_norm",
        "gradient_noise_scale",
    }
    usage = workload.device_usage()
    assert (usage.platform, usage.peak_device_bytes) == ("cpu", None)


def test_phases_are_found_by_name():
    assert protocol.load_factory("trainables.jax_phase12.workload:phase1") is phase1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"num_envs": 8, "num_steps": 16, "batch_size": 48},
            "48 does not divide .* 8 \\* 16 = 128",
        ),
        ({"num_envs": 0, "num_steps": 16, "batch_size": 8}, "num_envs must be at least 1, got 0"),
        ({"num_envs": 8, "num_steps": 16}, "PPO needs \\['batch_size'\\]"),
        (
            CONFIG | {"matmul_precision": "fast"},
            "matmul_precision must be one of default, .*, highest, .*, got 'fast'",
        ),
        (CONFIG | {"num_minibatches": 4}, "PPO has no \\['num_minibatches'\\]; it has"),
    ],
)
def test_invalid_configuration_names_its_numbers(config, message):
    with pytest.raises(protocol.InvalidConfigurationError, match=message):
        phase1(config, OPTIONS)


def test_bytes_grow_with_the_environments():
    _, few = compiled(phase1, 8)
    _, many = compiled(phase1, 2048)
    assert many.device_bytes > 2 * few.device_bytes
