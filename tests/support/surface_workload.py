"""A training loop with a known speed and a known cliff: it sleeps for what training would take.

Speed saturates in num_envs; device bytes grow with the rollout. What else it does is said by the
options, so that whole searches can meet every kind of end in seconds.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from trainables.workload import CompiledProgram


def speed(config: Mapping[str, int]) -> float:
    """Env steps per second."""
    return 2e5 * config["num_envs"] / (config["num_envs"] + 300.0)


def device_bytes(config: Mapping[str, int]) -> int:
    """What a compiler would say: parameters, rollout, one minibatch."""
    samples = config["num_envs"] * config["num_steps"]
    return 10_000_000 + 1_000 * samples + 2_000 * config["batch_size"]


class Surface:
    """One configuration on the surface."""

    def __init__(self, config: Mapping[str, int]) -> None:
        self._config = config
        self.env_steps_per_update = config["num_envs"] * config["num_steps"]

    def compile(self) -> CompiledProgram:
        """Know the bytes; nothing is compiled."""
        return CompiledProgram(device_bytes=device_bytes(self._config))

    def run(self, num_updates: int) -> None:
        """Sleep for as long as training would take."""
        time.sleep(num_updates * self.env_steps_per_update / speed(self._config))

    def health(self) -> Mapping[str, float]:
        """A healthy policy, whose gradients know what they want from 4096 samples on."""
        return {"entropy": 0.9, "gradient_noise_scale": 4096.0, "niceness": os.nice(0)}


def factory(config: Mapping[str, int], options: Mapping[str, Any]) -> Surface:
    """Build the loop in `build_s`.

    `max_cpus`: die of threads on more CPUs; `broken_from`: fail on more envs.
    """
    time.sleep(float(options.get("build_s", 0.0)))
    if len(os.sched_getaffinity(0)) > int(options.get("max_cpus", 10**6)):
        os.write(2, b"Check failed: ret == 0 (11 vs. 0) Thread tf_foreach creation via ")
        os.write(2, b"pthread_create() failed.\n")
        os.abort()
    if config["num_envs"] >= int(options.get("broken_from", 10**9)):
        raise RuntimeError("this workload has a bug.")
    return Surface(config)
