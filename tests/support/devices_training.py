"""Training of Phase 1 on simulated CPU devices, in a process of its own: what came out, as JSON.

The number of devices is fixed when JAX starts, so XLA_FLAGS must be set for this process.
"""

import json
import re
import sys
from typing import Any

import jax
import numpy as np

from trainables.jax_phase12 import ppo
from trainables.jax_phase12.config import Hyperparameters, PpoConfig
from trainables.jax_phase12.devices import state_shardings
from trainables.jax_phase12.env import TradingEnv
from trainables.jax_workload import JaxWorkload
from trainables.market.features import build_market
from trainables.market.positions import PHASE_1
from trainables.market.synthetic import synthetic_bars

_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


def train(config: PpoConfig, *, num_devices: int) -> dict[str, Any]:
    """Train for three updates by a configuration, on fewer devices than its parts if so asked."""
    market = build_market(synthetic_bars(seed=0, num_days=3))
    env, hyperparameters = TradingEnv(market=market, rules=PHASE_1), Hyperparameters()
    loop = JaxWorkload(
        ppo.make_update(config, hyperparameters),
        lambda: ppo.init_train_state(jax.random.key(0), env, config, hyperparameters),
        env_steps_per_update=config.num_samples,
        num_devices=num_devices,
        shardings=state_shardings,
    )
    program = loop.compile()
    loop.run(3)
    network = jax.tree.leaves(loop._state.network)
    return {
        "health": loop.health(),
        "network": [np.asarray(leaf).ravel()[:9].tolist() for leaf in network],
        "device_bytes": program.device_bytes,
        "collectives": collectives(loop.text()),
    }


def collectives(text: str) -> dict[str, list[str]]:
    """Return the collectives of each of a program's computations that has any."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.split("(")[0].strip()
        elif match := _COLLECTIVE.search(line):
            found.setdefault(name, []).append(match[1])
    return found


if __name__ == "__main__":
    asked = [json.loads(word) for word in sys.argv[1:]]
    found = [train(PpoConfig(**config), num_devices=number) for number, config in asked]
    print(json.dumps(found))
