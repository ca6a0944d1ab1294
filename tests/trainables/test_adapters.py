"""Adapters of other people's loops, on loops in miniature."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from places import ROOT
from trainables.adapters import CountedLoop, StableBaselines3, called_back, counted, pure_jax_rl
from trainables.curve import LearningGate, TrainingRequest
from trainables.health import health_of, require_return
from trainables.measurement import Message, OutcomeKind, Phase, Progress, Report, TrialRequest
from trainables.sampling import Sampling
from trainables.workload import (
    MeasuresItself,
    Workload,
    WorkloadInputError,
    _contract_problem,
    build,
    load_factory,
)

REQUEST = TrialRequest(
    workload="",
    config={},
    options={},
    platform="cpu",
    cpus=(0,),
    sampling=Sampling(block_s=0.05, relative_half_width=0.5, min_blocks=3, max_measure_s=1.0),
)


def measured(loop: CountedLoop, **fields: Any) -> tuple[Report, list[Message]]:
    sent: list[Message] = []
    return loop.measure_trial(dataclasses.replace(REQUEST, **fields), sent.append), sent


def steady(num: int = 10**6) -> Iterator[Any]:
    for n in range(num):
        time.sleep(0.01)
        yield 50 * n, {"mean_return": n}


def test_a_generator_is_timed_at_its_own_pace() -> None:
    report, sent = measured(counted(steady))
    assert report.kind is OutcomeKind.COMPLETED, report.message
    assert report.measurement is not None
    assert 1000.0 < report.measurement.steps_per_second <= 5000.0
    assert report.measurement.env_steps_per_update == 50
    assert report.measurement.health["mean_return"] > 3
    phases = [message.phase for message in sent if isinstance(message, Progress)]
    assert phases == [Phase.BUILD, Phase.WARMUP, Phase.MEASURE]


def test_telling_the_same_steps_again_is_no_progress() -> None:
    def stutters() -> Iterator[float]:
        for n in range(10**6):
            time.sleep(0.01)
            yield 50.0 * (n // 2)

    report, _ = measured(counted(stutters))
    assert report.measurement is not None
    assert report.measurement.env_steps_per_update == 50
    assert report.measurement.steps_per_second <= 2500.0


def test_a_training_that_calls_back_is_turned_inside_out() -> None:
    def train(tell: Callable[..., None]) -> None:
        for n in range(10**6):
            time.sleep(0.01)
            tell(50 * n, {"loss": 1.0})

    report, _ = measured(called_back(train))
    assert report.kind is OutcomeKind.COMPLETED
    assert report.measurement is not None
    assert report.measurement.health == {"loss": 1.0}


def steps_of_rollouts() -> Iterator[float]:
    """Yield each step of rollouts that take half of the time."""
    for n in range(1, 10**6):
        time.sleep(0.005)
        yield 50.0 * n
        if n % 40 == 0:
            time.sleep(0.25)


def calls_in_rollouts(tell: Callable[..., None]) -> None:
    for steps in steps_of_rollouts():
        tell(steps)


@pytest.mark.parametrize(
    "loop", [counted(steps_of_rollouts), called_back(calls_in_rollouts, within_updates=True)]
)
def test_what_is_told_within_updates_is_timed_with_its_learning(loop: CountedLoop) -> None:
    report, _ = measured(loop)
    assert report.measurement is not None
    assert report.measurement.measure_s >= REQUEST.sampling.max_measure_s
    assert report.measurement.steps_per_second <= 0.75 * 50.0 / 0.005


def calls_in_each_update(tell: Callable[..., None]) -> None:
    for steps, _ in steady():
        tell(steps)


@pytest.mark.parametrize(
    "loop", [counted(steady, within_updates=False), called_back(calls_in_each_update)]
)
def test_what_is_told_once_in_an_update_is_known_before_its_time_is_up(loop: CountedLoop) -> None:
    report, _ = measured(loop)
    assert report.message == "measured."
    assert report.measurement is not None
    assert report.measurement.measure_s < REQUEST.sampling.max_measure_s


@pytest.mark.parametrize(
    ("loop", "counts"),
    [
        (counted(steady), "reading"),
        (counted(steady, within_updates=False), "update"),
        (called_back(calls_in_each_update), "update"),
        (called_back(calls_in_each_update, within_updates=True), "reading"),
    ],
)
def test_what_is_told_at_whatever_times_is_no_update(loop: CountedLoop, counts: str) -> None:
    report, _ = measured(loop)
    assert report.measurement is not None
    assert report.measurement.counted == counts


def test_what_a_training_raises_in_its_thread_is_raised_in_the_trial() -> None:
    def train(tell: Callable[..., None]) -> None:
        tell(1)
        raise MemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="CUDA out of memory"):
        measured(called_back(train))


def telling(metrics: Callable[[int], dict[str, float]]) -> CountedLoop:
    def train() -> Iterator[Any]:
        for n in range(10**6):
            time.sleep(0.01)
            yield 50 * n, metrics(n)

    return counted(train)


def test_a_return_is_not_known_before_an_episode_has_ended() -> None:
    loop = telling(lambda n: {"mean_return": n if n >= 20 else math.nan})
    report, _ = measured(loop, training=TrainingRequest(max_s=30.0, target=40.0))
    assert report.message.startswith("reached 40 after "), report.message
    assert report.measurement is not None
    assert report.measurement.curve is not None
    assert report.measurement.curve.returns[0] >= 20.0
    assert math.isfinite(report.measurement.health["mean_return"])


def test_a_return_that_is_never_known_does_not_pass_a_gate() -> None:
    gate = LearningGate(seconds=0.3, least_return=-1.0)
    loop = telling(lambda n: {"mean_return": math.nan})
    report, _ = measured(loop, training=TrainingRequest(max_s=30.0, gates=(gate,)))
    assert "no return until 0.3 s" in report.message


def test_the_return_of_the_same_steps_counts_too() -> None:
    def train() -> Iterator[Any]:
        for n in range(10**6):
            time.sleep(0.01)
            yield 50 * n
            yield 50 * n, {"mean_return": n}

    report, _ = measured(counted(train), training=TrainingRequest(max_s=30.0, target=30.0))
    assert report.message.startswith("reached 30 after "), report.message


@pytest.mark.parametrize(
    ("broken", "words"),
    [({"loss": math.nan}, "loss is nan"), ({"mean_return": -math.inf}, "mean_return is -inf")],
)
@pytest.mark.parametrize("training", [None, TrainingRequest(max_s=30.0)])
def test_a_training_that_breaks_is_unstable(
    broken: dict[str, float], words: str, training: TrainingRequest | None
) -> None:
    loop = telling(lambda n: {"mean_return": 1.0} if n < 5 else broken)
    report, _ = measured(loop, training=training)
    assert (report.kind, words in report.message) == (OutcomeKind.UNSTABLE, True), report.message


def test_what_is_no_metric_is_said() -> None:
    loop = telling(lambda n: {"loss": "high"})  # type: ignore[dict-item]
    with pytest.raises(WorkloadInputError, match="the training has loss = 'high', which is no"):
        measured(loop)


@pytest.mark.parametrize(
    ("told", "words"),
    [({}, "tells no metrics at all: let it tell a 'mean_return' with its"), ({"x": 1.0}, "only x")],
)
def test_a_search_for_learning_ends_where_no_return_is_told(
    told: dict[str, float], words: str
) -> None:
    with pytest.raises(WorkloadInputError, match=words):
        measured(telling(lambda n: told), needs_return=True)
    report, _ = measured(telling(lambda n: {"mean_return": math.nan}), needs_return=True)
    assert report.kind is OutcomeKind.COMPLETED, "no episode has ended yet"


@pytest.mark.parametrize("loop", [counted(lambda: steady(3)), called_back(lambda tell: tell(1))])
def test_a_training_that_ends_too_early_is_invalid(loop: CountedLoop) -> None:
    report, _ = measured(loop)
    assert report.kind is OutcomeKind.INVALID
    assert "too few to time: let it go on" in report.message


def test_adapters_are_workloads() -> None:
    model = SimpleNamespace(n_steps=8, n_envs=4, learn=lambda *a, **k: None)
    for workload in (counted(steady), StableBaselines3(model)):
        assert isinstance(workload, Workload)
        assert _contract_problem(workload) is None
    assert isinstance(counted(steady), MeasuresItself)


def test_a_model_of_stable_baselines3_trains_by_rollouts() -> None:
    calls: list[tuple[int, dict[str, Any]]] = []
    model = SimpleNamespace(
        n_steps=8,
        n_envs=4,
        learn=lambda steps, **options: calls.append((steps, options)),
        ep_info_buffer=[{"r": 1.0}, {"r": 3.0}],
        device=SimpleNamespace(type="cpu"),
    )
    workload = StableBaselines3(model)
    assert workload.env_steps_per_update == 32
    workload.run(3)
    assert calls == [(96, {"log_interval": None, "reset_num_timesteps": False})]
    assert workload.health() == {"mean_return": 2.0}
    assert workload.device_usage().platform == "cpu"
    for none_ended in (None, []):
        model.ep_info_buffer = none_ended
        assert math.isnan(workload.health()["mean_return"])
        assert health_of(workload) == {}
        require_return(workload)  # it will tell one


@pytest.mark.parametrize(
    ("parameters", "found", "jax_runs_on", "platform", "peak"),
    [
        ([1.0], "cuda", "cpu", "cuda", 700),
        ([1.0], "cuda", None, "cuda", 700),
        ([1.0], "cpu", "gpu", "cpu", None),
        ([], "cuda", "gpu", "cuda", 700 + 9),  # SBX: torch may hold what others put there
        ([], "cpu", "gpu", "cuda", 700 + 9),  # torch without CUDA
        ([], "cuda", "cpu", "cpu", None),  # JAX without CUDA
    ],
)
def test_the_device_of_a_model_is_that_of_what_trains_it(
    monkeypatch: pytest.MonkeyPatch,
    parameters: list[float],
    found: str,
    jax_runs_on: str | None,
    platform: str,
    peak: int | None,
) -> None:
    """SBX's policies are modules of torch's without a parameter, on the device that torch found."""
    model = SimpleNamespace(
        n_steps=8,
        n_envs=4,
        policy=SimpleNamespace(parameters=lambda: iter(parameters)),
        device=SimpleNamespace(type=found),
    )
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 1, max_memory_reserved=lambda _: 700
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    stats = {"peak_bytes_in_use": 9} if jax_runs_on == "gpu" else None
    devices = [SimpleNamespace(platform=jax_runs_on, memory_stats=lambda: stats)]
    jax = SimpleNamespace(devices=lambda: devices, local_devices=lambda: devices)
    monkeypatch.setitem(sys.modules, "jax", jax if jax_runs_on else None)
    bridge = SimpleNamespace(backends_are_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", bridge)
    usage = StableBaselines3(model).device_usage()
    assert (usage.platform, usage.peak_device_bytes) == (platform, peak)


LOOP = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from trainables.adapters import StableBaselines3


def factory(config, options):
    env = make_vec_env("CartPole-v1", n_envs=config["n_envs"], seed=options.get("seed", 0))
    sizes = {"n_steps": config["n_steps"], "batch_size": config["batch_size"]}
    return StableBaselines3(PPO("MlpPolicy", env, **sizes))
"""


def test_a_real_model_of_stable_baselines3_trains_by_rollouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3", reason="Phase 3 brings it (extra torch)")
    (tmp_path / "sb3_loop.py").write_text(LOOP)
    monkeypatch.syspath_prepend(tmp_path)
    config = {"n_envs": 2, "n_steps": 32, "batch_size": 32}
    workload = build(load_factory("sb3_loop:factory"), config, {})
    assert isinstance(workload, StableBaselines3)
    workload.run(2)
    assert workload._model.num_timesteps == 2 * 64
    assert workload.health()["mean_return"] > 5.0
    workload.run(1)
    assert workload._model.num_timesteps == 3 * 64
    readme = (ROOT / "README.md").read_text()
    assert LOOP.strip() in readme


def make_train(config: dict[str, Any]) -> Any:
    """Return a training in PureJaxRL's form, in miniature: a walk to the origin, by gradients."""
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    config["NUM_UPDATES"] = config["TOTAL_TIMESTEPS"] // config["NUM_STEPS"] // config["NUM_ENVS"]

    def train(rng: Any) -> dict[str, Any]:
        tx = optax.adam(config["LR"])  # functions of its own in each trace, as a TrainState has
        weights = jnp.ones((4, 4))
        state = (Holder(weights, tx), tx.init(weights), rng)

        def update_step(state: Any, _: None) -> Any:
            holder, moments, rng = state
            rng, key = jax.random.split(rng)

            def env_step(places: Any, key: Any) -> Any:
                places = places @ holder.weights
                return places, -jnp.abs(places).sum(axis=1)

            def loss(weights: Any) -> Any:
                return jnp.square(places @ weights).mean()

            places = jax.random.normal(key, (config["NUM_ENVS"], 4))
            keys = jax.random.split(key, config["NUM_STEPS"])
            _, rewards = jax.lax.scan(env_step, places, keys)
            grads = jax.grad(loss)(holder.weights)
            updates, moments = holder.tx.update(grads, moments)
            holder = Holder(optax.apply_updates(holder.weights, updates), holder.tx)
            return (holder, moments, rng), {"returned_episode_returns": rewards}

        state, info = jax.lax.scan(update_step, state, None, config["NUM_UPDATES"])
        return {"runner_state": state, "metrics": info}

    return train


class Holder:
    """Weights with their optimizer, which is part of the structure, as flax's TrainState is."""

    def __init__(self, weights: Any, tx: Any) -> None:
        self.weights, self.tx = weights, tx


def registered() -> None:
    jax = pytest.importorskip("jax")
    with contextlib.suppress(ValueError):  # once in a process
        jax.tree_util.register_pytree_node(
            Holder, lambda h: ((h.weights,), h.tx), lambda tx, leaves: Holder(leaves[0], tx)
        )


SETTINGS = {"LR": 0.01, "NUM_ENVS": 8, "NUM_STEPS": 4}


def test_an_update_of_pure_jax_rl_is_that_of_its_own_training() -> None:
    jax = pytest.importorskip("jax")
    registered()
    workload = pure_jax_rl(make_train, SETTINGS)
    assert workload.env_steps_per_update == 32
    workload.compile()
    workload.run(3)
    told = workload.health()["mean_return"]
    whole = make_train(SETTINGS | {"TOTAL_TIMESTEPS": 3 * 32})(jax.random.PRNGKey(0))
    last = whole["metrics"]["returned_episode_returns"][-1].mean()
    assert told == pytest.approx(float(last), rel=1e-5)


def recording(**info: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a `make_train` without NUM_STEPS, as PureJaxRL's DQN is; each update records this."""

    def make(config: dict[str, Any]) -> Any:
        jax = pytest.importorskip("jax")
        config["NUM_UPDATES"] = config["TOTAL_TIMESTEPS"] // config["NUM_ENVS"]
        told = {name: jax.numpy.array(value) for name, value in info.items()}
        return lambda rng: jax.lax.scan(lambda n, _: (n + 1, told), 0, None, config["NUM_UPDATES"])

    return make


@pytest.mark.parametrize(
    ("lengths", "told"), [([0, 0], math.nan), ([0, 200], -900.0), ([100, 200], -600.0)]
)
def test_an_environment_without_an_ended_episode_has_no_return(
    lengths: list[int], told: float
) -> None:
    returns = [[-300.0 if lengths[0] else 0.0, -900.0 if lengths[1] else 0.0]]
    make = recording(returned_episode_returns=returns, returned_episode_lengths=[lengths])
    workload = pure_jax_rl(make, {"NUM_ENVS": 2})
    assert workload.env_steps_per_update == 2
    workload.compile()
    workload.run(1)
    assert workload.health() == pytest.approx({"mean_return": told}, nan_ok=True)


class Logged(NamedTuple):
    """What PureJaxRL's LogWrapper keeps of each environment in its state."""

    returned_episode_returns: Any
    returned_episode_lengths: Any


@pytest.mark.parametrize("info", [{}, {"returned_episode_returns": -400.0}])
@pytest.mark.parametrize(("lengths", "told"), [([0, 0], math.nan), ([0, 200], -900.0)])
def test_of_a_mean_with_the_zeros_of_others_in_it_the_state_is_read(
    info: dict[str, float], lengths: list[int], told: float
) -> None:
    jax = pytest.importorskip("jax")
    returns = [-900.0 if length else 0.0 for length in lengths]
    logged = Logged(jax.numpy.array(returns), jax.numpy.array(lengths))

    def make(config: dict[str, Any]) -> Any:
        config["NUM_UPDATES"] = 10**6
        said = {name: jax.numpy.float32(value) for name, value in info.items()}
        return lambda rng: jax.lax.scan(
            lambda state, _: (state, said), (rng, logged), None, config["NUM_UPDATES"]
        )

    workload = pure_jax_rl(make, {"NUM_ENVS": 2})
    workload.run(1)
    assert workload.health() == pytest.approx({"mean_return": told}, nan_ok=True)


def test_a_training_s_own_lines_of_episodes_are_not_timed() -> None:
    jax = pytest.importorskip("jax")
    printed: list[Any] = []

    def make(config: dict[str, Any]) -> Any:
        config["NUM_UPDATES"] = 10**6

        def update(n: Any, _: None) -> Any:
            if config.get("DEBUG"):
                jax.debug.callback(printed.append, n)
            return n + 1, {}

        return lambda rng: jax.lax.scan(update, 0, None, config["NUM_UPDATES"])

    workload = pure_jax_rl(make, {"NUM_ENVS": 2, "DEBUG": True})
    workload.compile()
    workload.run(1)
    assert printed == []


def test_a_training_without_that_scan_is_refused() -> None:
    pytest.importorskip("jax")

    def loops(config: dict[str, Any]) -> Any:
        config["NUM_UPDATES"] = 3
        return lambda rng: rng

    with pytest.raises(WorkloadInputError, match="does not call jax"):
        pure_jax_rl(loops, SETTINGS).compile()
