"""CartPole by skrl's PPO, as its documentation starts one: the library's runner and trainer."""

import argparse

import gymnasium
from skrl.envs.wrappers.torch import wrap_env
from skrl.utils.runner.torch import Runner

parser = argparse.ArgumentParser()
parser.add_argument("--num-envs", type=int)
parser.add_argument("--rollouts", type=int)
parser.add_argument("--mini-batches", type=int)
sizes = parser.parse_args()

LAYERS = [{"name": "net", "input": "OBSERVATIONS", "layers": [64, 64], "activations": "elu"}]
CONFIG = {
    "models": {
        "separate": True,
        "policy": {"class": "CategoricalMixin", "network": LAYERS, "output": "ACTIONS"},
        "value": {"class": "DeterministicMixin", "network": LAYERS, "output": "ONE"},
    },
    "memory": {"class": "RandomMemory", "memory_size": -1},
    "agent": {
        "class": "PPO",
        "rollouts": sizes.rollouts,
        "learning_epochs": 4,
        "mini_batches": sizes.mini_batches,
        "experiment": {"write_interval": 0, "checkpoint_interval": 0},
    },
    "trainer": {"class": "SequentialTrainer", "timesteps": 10**9},
}
env = gymnasium.make_vec("CartPole-v1", num_envs=sizes.num_envs, vectorization_mode="sync")
Runner(wrap_env(env), CONFIG).run()
