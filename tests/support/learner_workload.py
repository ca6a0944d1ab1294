"""A training loop whose learning is known: large updates step faster, small ones learn sooner.

It sleeps for what training would take. The return rises to 100 and then stays there.
"""

import random
import time
from collections.abc import Mapping
from typing import Any

TOP = 100.0


def speed(config: Mapping[str, int]) -> float:
    """Env steps per second."""
    return 2e5 * config["num_envs"] / (config["num_envs"] + 100.0)


def steps_to_top(config: Mapping[str, int]) -> float:
    """Env steps until the return is at its top."""
    return 50_000.0 * (1.0 + config["num_envs"] / 64.0)


class Learner:
    """One configuration; `seed` changes the steps that it needs by a tenth at most."""

    def __init__(self, config: Mapping[str, int], seed: int) -> None:
        self._config = config
        self._done = 0
        self._needed = steps_to_top(config) * random.Random(seed).uniform(0.95, 1.05)
        self.env_steps_per_update = 16 * config["num_envs"]

    def run(self, num_updates: int) -> None:
        """Sleep for as long as training would take."""
        steps = num_updates * self.env_steps_per_update
        self._done += steps
        time.sleep(steps / speed(self._config))

    def health(self) -> Mapping[str, float]:
        """Return what was learned so far."""
        return {"mean_return": min(TOP, TOP * self._done / self._needed)}


def learner(config: Mapping[str, int], options: Mapping[str, Any]) -> Learner:
    """Build the loop of one configuration."""
    return Learner(config, int(options.get("seed", 0)))


class Silent(Learner):
    """A loop that does not tell its return."""

    def health(self) -> Mapping[str, float]:
        """Return something else."""
        return {"entropy": 0.5}


def silent(config: Mapping[str, int], options: Mapping[str, Any]) -> Silent:
    """Build a loop that learning cannot be told of."""
    return Silent(config, 0)
