"""Training loops in miniature: each shows a trial one face of the real ones. `config` steers them.

Only the standard library is imported at the top, as the affinity is looked at while importing.
"""

import argparse
import math
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.workload import (
    CompiledProgram,
    DeviceUsage,
    InvalidConfigurationError,
    WorkloadInputError,
)

AFFINITY_AT_IMPORT = sorted(os.sched_getaffinity(0))

Config = Mapping[str, int]
Options = Mapping[str, Any]


class Sleeper:
    """Sleeps for `update_ms` per update: nothing optional is implemented."""

    def __init__(self, config: Config, options: Options) -> None:
        self.update_s = config.get("update_ms", 20) / 1000
        self.env_steps_per_update = config.get("env_steps", 100)
        self.options = options
        self.num_updates = 0

    def run(self, num_updates: int) -> None:
        time.sleep(num_updates * self.update_s)
        self.num_updates += num_updates


class Full(Sleeper):
    """Implements all of the protocol, and does what `config` says is wrong with it."""

    def __init__(self, config: Config, options: Options) -> None:
        super().__init__(config, options)
        self.config = config
        self.num_compilations = 0
        self.num_looks = 0

    def compile(self) -> CompiledProgram:
        self.num_compilations += 1
        return CompiledProgram(
            device_bytes=self.config.get("device_bytes", 2**20), flops_per_update=1e6
        )

    def run(self, num_updates: int) -> None:
        super().run(num_updates)
        self.num_compilations += self.config.get("compiles_per_run", 0)

    def health(self) -> dict[str, float]:
        self.num_looks += 1
        return {
            "mean_return": 1.5,
            "loss": math.nan if self.num_looks > self.config.get("nan_after", 10**9) else 0.25,
            "gradient_noise_scale": 512.0,
        }

    def device_usage(self) -> DeviceUsage:
        return DeviceUsage(
            platform=self.options.get("platform", "cpu"),
            peak_device_bytes=3 * 2**20,
            num_compilations=self.num_compilations,
        )


class Learning(Sleeper):
    """Learns one point of return per update, and as much on episodes that are `held_out`."""

    def __init__(self, config: Config, options: Options) -> None:
        super().__init__(config, options)
        self.is_held_out = bool(config.get("held_out"))

    def health(self) -> dict[str, float]:
        return {"mean_return": float(self.num_updates)}

    def evaluate(self) -> float | None:
        return float(self.num_updates) if self.is_held_out else None


def invalid(config: Config, options: Options) -> Sleeper:
    raise InvalidConfigurationError("batch_size must divide 32 x 128 samples, got 1000.")


def bad_input(config: Config, options: Options) -> Sleeper:
    raise WorkloadInputError("bars.csv, row 7: high is below low.")


def broken(config: Config, options: Options) -> Sleeper:
    print("built by hand")
    raise KeyError("a bug of the workload")


def out_of_device_memory(config: Config, options: Options) -> Sleeper:
    raise RuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 bytes."
    )


def segmentation_fault(config: Config, options: Options) -> Sleeper:
    import ctypes

    ctypes.string_at(0)
    raise AssertionError("unreachable")


def records_affinity(config: Config, options: Options) -> Sleeper:
    """Say through `health` which CPUs the process had when this module was imported."""
    return _with_health({f"cpu_{cpu}": 1.0 for cpu in AFFINITY_AT_IMPORT})


def records_inheritance(config: Config, options: Options) -> Sleeper:
    """Say through `health` what a crash may write, and what a grandchild would inherit."""
    core_bytes, _ = resource.getrlimit(resource.RLIMIT_CORE)
    files = [fd for fd in range(3, 256) if Path(f"/proc/self/fd/{fd}").exists()]
    inherited = sum(os.get_inheritable(fd) for fd in files)
    return _with_health({"core_bytes": float(core_bytes), "inherited_files": float(inherited)})


def _with_health(health: dict[str, float]) -> Sleeper:
    workload = Full({}, {})
    workload.health = lambda: health  # type: ignore[method-assign]
    return workload


def compiles_on_every_call(config: Config, options: Options) -> Sleeper:
    """Build a JAX loop that cannot say so: a new function each time, and no `device_usage`."""
    import jax

    class Compiling(Sleeper):
        def run(self, num_updates: int) -> None:
            for _ in range(num_updates):
                jax.jit(lambda x: x + 1.0)(1.0).block_until_ready()

    return Compiling(config, options)


def no_workload(config: Config, options: Options) -> None:
    """Forgets to return what it built."""


def says_words(config: Config, options: Options) -> Any:
    workload = Sleeper(config, options)
    workload.health = lambda: {"loss": "high"}  # type: ignore[attr-defined]
    return workload


def parses_arguments(config: Config, options: Options) -> Sleeper:
    argparse.ArgumentParser().parse_args()
    return Sleeper(config, options)


def leaves_a_daemon(config: Config, options: Options) -> Sleeper:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(options["pid_file"]).write_text(str(os.getpid()))
            time.sleep(300)
        os._exit(0)
    os.wait()
    return Sleeper(config, options)


def loud(config: Config, options: Options) -> None:
    """Writes 60 MB, and dies."""
    print("the first word", flush=True)
    for _ in range(60):
        print("x" * 2**20, flush=True)
        time.sleep(0.03)
    raise ZeroDivisionError("the last word")


class Frozen(Sleeper):
    """Trains nothing: what it would change stays the same."""

    def fingerprint(self) -> bytes:
        return b"as ever"


class Solved(Sleeper):
    """Learns in its first updates all that there is, and stays as it is from then on."""

    _num_updates = 0

    def run(self, num_updates: int) -> None:
        super().run(num_updates)
        self._num_updates += num_updates

    def fingerprint(self) -> bytes:
        return bytes([min(self._num_updates, 3)])


class Impossible(Full):
    """Claims more products per second than its device makes."""

    def peak_flops(self) -> float:
        return 1e6


def is_examined(config: Config, options: Options) -> Any:
    """Build a JAX loop that is judged on held-out episodes, and tells no return of its own."""
    import jax
    import jax.numpy as jnp

    from trainables.jax_workload import JaxWorkload

    def update(weights: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        return weights + 1.0, {"loss": weights.mean()}

    def evaluation(weights: jax.Array) -> jax.Array:
        return jnp.square(weights).sum()

    return JaxWorkload(update, lambda: jnp.zeros(4), env_steps_per_update=64, evaluation=evaluation)


def trains_for_nothing(config: Config, options: Options) -> Any:
    """Build a JAX loop whose update drops the parameters that it trained."""
    import jax
    import jax.numpy as jnp

    from trainables.jax_workload import JaxWorkload

    def update(key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        key, noise_key = jax.random.split(key)
        batch = jax.random.normal(noise_key, (64, 32))
        weights = jnp.ones((32, 32))
        weights -= 0.1 * jax.grad(lambda w: jnp.square(batch @ w).mean())(weights)
        return key, {"mean": batch.mean(), "weights": jnp.sum(weights) if "kept" in config else 0.0}

    return JaxWorkload(update, lambda: jax.random.key(0), env_steps_per_update=64)


def tells_its_pid(config: Config, options: Options) -> Sleeper:
    Path(options["pid_file"]).write_text(str(os.getpid()))
    return Sleeper(config, options)
