"""The market, and advice on it, as one `VecEnv` of Stable-Baselines3."""

import collections
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from trainables.pytorch_phase3 import advice
from trainables.pytorch_phase3.advisor import ADVICE_SIZE, Advisor
from trainables.pytorch_phase3.arrays import Flags, Floats
from trainables.pytorch_phase3.env_workers import MarketWorkers
from trainables.pytorch_phase3.market_env import OBSERVATION_SIZE, MarketEnv

_RETURNS_KEPT = 100


class AdvisedVecEnv(VecEnv):  # type: ignore[misc]
    """Observations [num_envs, 228], and with an advisor [num_envs, ADVICE_SIZE] more.

    It is one object for all environments, wherever they run. So Stable-Baselines3's calls for
    single environments are answered for all together. There are no time limits, so no terminal
    observations.
    """

    def __init__(self, env: MarketEnv | MarketWorkers, advisor: Advisor | None):
        self.market_env = env
        self.advisor = advisor
        self.returns: collections.deque[float] = collections.deque(maxlen=_RETURNS_KEPT)
        size = OBSERVATION_SIZE + (ADVICE_SIZE if advisor else 0)
        space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        super().__init__(env.num_envs, space, env.action_space)
        self._infos: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        self._actions: npt.NDArray[np.int64] | None = None

    def reset(self) -> Floats:
        """Start all episodes anew."""
        self.market_env.reset()
        return self._observe(np.ones(self.num_envs, bool))

    def step_async(self, actions: npt.NDArray[np.int64]) -> None:
        """Take note of the actions; `step_wait` carries them out."""
        self._actions = actions

    def step_wait(self) -> tuple[Floats, Floats, Flags, list[dict[str, Any]]]:
        """Advance by one bar."""
        assert self._actions is not None
        step = self.market_env.step(self._actions)
        self.returns.extend(step.returns[step.dones].tolist())
        return self._observe(step.dones), step.rewards, step.dones, self._infos

    def _observe(self, dones: Flags) -> Floats:
        env, advisor = self.market_env, self.advisor
        observations = env.observe()
        if advisor is None:
            return observations
        contexts = None
        if advisor.wants_contexts():
            contexts = advice.contexts_of(*env.situation())
        return np.concatenate([observations, advisor.advance(dones, contexts)], axis=1)

    def start_rollout(self) -> None:
        """Tell the advisor that the next step is the first of a rollout."""
        if self.advisor is not None:
            self.advisor.start_rollout()

    def close(self) -> None:
        """End the advisor's thread and the environments' processes, where there are any."""
        if self.advisor is not None:
            self.advisor.close()
        if isinstance(self.market_env, MarketWorkers):
            self.market_env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the market, once per environment."""
        value = None if attr_name == "render_mode" else getattr(self.market_env, attr_name)
        return [value] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the environments are rows of one object."""
        raise NotImplementedError("environments cannot be changed one by one.")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the market that answers for all environments."""
        return list(getattr(self.market_env, method_name)(*method_args, **method_kwargs))

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> Sequence[bool]:
        """Return False for each: no environment is wrapped."""
        return [False] * self.num_envs
