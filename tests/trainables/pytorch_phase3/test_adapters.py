"""The adapter of Stable-Baselines3, on a real model of it."""

from pathlib import Path

import pytest

from trainables.adapters import StableBaselines3
from trainables.workload import build

pytest.importorskip("stable_baselines3", reason="Phase 3 needs stable-baselines3 (extra torch)")

LOOP = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from trainables.adapters import StableBaselines3


def factory(config, options):
    env = make_vec_env("CartPole-v1", n_envs=config["n_envs"], seed=options.get("seed", 0))
    sizes = {"n_steps": config["n_steps"], "batch_size": config["batch_size"]}
    return StableBaselines3(PPO("MlpPolicy", env, **sizes))
"""


def test_a_real_model_trains_by_rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sb3_loop.py").write_text(LOOP)
    monkeypatch.syspath_prepend(tmp_path)
    config = {"n_envs": 2, "n_steps": 32, "batch_size": 32}
    workload = build("sb3_loop:factory", config, {})
    assert isinstance(workload, StableBaselines3)
    workload.run(2)
    assert workload._model.num_timesteps == 2 * 64
    assert workload.health()["mean_return"] > 5.0
    workload.run(1)
    assert workload._model.num_timesteps == 3 * 64
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    assert LOOP.strip() in readme
