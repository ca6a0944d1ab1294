"""Phase 3 as a tunable workload: `trainables.pytorch_phase3.workload:phase3`.

A configuration is `vectorized_envs` and `batch_size`; the options are those of `Phase3Options`.
One update is one rollout, and the PPO epochs over it.
"""

import math
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.logger import Logger

from trainables.market.features import Market, build_market
from trainables.pytorch_phase3 import memory, sources, stability
from trainables.pytorch_phase3.advisor import Advisor, Counters
from trainables.pytorch_phase3.env_workers import MarketWorkers
from trainables.pytorch_phase3.market_env import MarketEnv
from trainables.pytorch_phase3.options import Phase3Options
from trainables.pytorch_phase3.policy import HIDDEN_SIZES, HybridPolicy
from trainables.pytorch_phase3.rollout import rollout_samples
from trainables.pytorch_phase3.vec_env import AdvisedVecEnv
from trainables.workload import (
    CompiledProgram,
    DeviceUsage,
    InvalidConfigurationError,
    UnstableTrainingError,
)

HYPERPARAMETERS: dict[str, Any] = {
    "n_epochs": 4,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
"""Phase 2's hyperparameters by Stable-Baselines3's names; the tuner leaves them alone."""

_NUM_INTEROP_THREADS = 2


def phase3(config: Mapping[str, int], options: Mapping[str, Any]) -> "Phase3":
    """Build masked PPO that is advised by a language model.

    Raises:
        InvalidConfigurationError: if the configuration has other axes, or sizes below 1.
        WorkloadInputError: if an option, the bars or the language model are not usable.
    """
    unknown = sorted(config.keys() - {"vectorized_envs", "batch_size"})
    if unknown:
        raise InvalidConfigurationError(
            f"Phase 3 has no {unknown}; it has vectorized_envs and batch_size."
        )
    _cap_threads()
    # NaN within an update would raise here, as a defect; `stability` says what it is.
    torch.distributions.Distribution.set_default_validate_args(False)
    chosen = Phase3Options.from_mapping(options)
    return Phase3(config, chosen, build_market(chosen.load_bars()))


class Phase3:
    """The workload of one configuration. The first `run` loads all that is large."""

    def __init__(self, config: Mapping[str, int], options: Phase3Options, market: Market):
        self._num_envs = config.get("vectorized_envs", 0)
        self._batch_size = config.get("batch_size", 0)
        self._num_samples = rollout_samples(config)
        self._options = options
        self._market = market
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._found = self._find_llm()
        self._model: MaskablePPO | None = None
        self._env: AdvisedVecEnv | None = None
        self._metrics: dict[str, float] = {}
        self._run_s = 0.0

    @property
    def env_steps_per_update(self) -> int:
        """Environment steps of one rollout."""
        return self._num_samples

    def limit_device_memory(self, budget_bytes: int) -> None:
        """Make an allocation beyond the budget fail as on a smaller GPU. No effect on a CPU."""
        if self._device.type == "cuda":
            total_bytes = torch.cuda.get_device_properties(self._device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, budget_bytes / total_bytes))

    def compile(self) -> CompiledProgram:
        """Predict the device's bytes from the model's configuration; nothing is compiled."""
        device_bytes = memory.predict(
            self._found,
            num_envs=self._num_envs,
            batch_size=self._batch_size,
            device=self._device,
        )
        return CompiledProgram(device_bytes=device_bytes)

    def run(self, num_updates: int) -> None:
        """Train for `num_updates` updates.

        Raises:
            UnstableTrainingError: if a metric is not finite, the entropy collapsed, or the policy
                moved too far at once (see `stability`).
            WorkloadInputError: if the language model's weights are corrupt (first run only).
        """
        if self._model is None or self._env is None:
            self._env = AdvisedVecEnv(self._market_env(), self._advisor())
            self._model = self._build_model(self._env)
        started = time.perf_counter()
        for _ in range(num_updates):
            self._env.start_rollout()
            self._model.learn(self._num_samples, log_interval=None, reset_num_timesteps=False)
            self._metrics = _metrics(self._model)
            if problem := stability.violation(self._metrics):
                raise UnstableTrainingError(f"training is unstable: {problem}")
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._run_s += time.perf_counter() - started

    def close(self) -> None:
        """Wait for a question under way; end the environments' processes."""
        if self._env is not None:
            self._env.close()

    def health(self) -> dict[str, float]:
        """Return the last update's metrics, the mean return of late, and the advice's costs."""
        if self._model is None or self._env is None:
            return {}
        health = dict(self._metrics)
        returns = self._env.returns
        health["mean_return"] = float(np.mean(returns)) if returns else math.nan
        policy = self._model.policy
        if isinstance(policy, HybridPolicy) and policy.fusion.last_trust is not None:
            own, advised = policy.fusion.last_trust.mean(dim=0).tolist()
            health |= {"trust_policy": own, "trust_advice": advised}
        if self._env.advisor is not None:
            steps = self._model.num_timesteps
            health |= advice_costs(self._env.advisor.counters, self._run_s, steps)
        return health

    def device_usage(self) -> DeviceUsage:
        """Return the device in use, and its allocator's peak."""
        if self._device.type != "cuda":
            return DeviceUsage(platform="cpu", peak_device_bytes=None, num_compilations=None)
        return DeviceUsage(
            platform="cuda",
            peak_device_bytes=torch.cuda.max_memory_reserved(self._device),
            num_compilations=None,
        )

    def _find_llm(self) -> Any:
        source = sources.resolve(self._options.llm)
        if source is None:
            return None
        from trainables.pytorch_phase3 import llm  # with --llm none transformers may be absent

        return llm.find(
            source,
            dtype=self._options.llm_dtype,
            device=self._device,
            unpacked=self._options.unpacked_folder(),
        )

    def _market_env(self) -> MarketEnv | MarketWorkers:
        num_workers, seed = self._options.env_workers, self._options.seed_of_training
        if num_workers == 0:
            return MarketEnv(self._market, self._num_envs, seed=seed)
        return MarketWorkers(self._market, self._num_envs, num_workers=num_workers, seed=seed)

    def _advisor(self) -> Advisor | None:
        if self._found is None:
            return None
        from trainables.pytorch_phase3 import llm  # with --llm none transformers may be absent

        return Advisor(
            llm.load(self._found, self._device),
            num_envs=self._num_envs,
            interval=self._options.query_interval,
            cache_size=self._options.cache_size,
            asynchronous=self._options.async_queries,
        )

    def _build_model(self, env: AdvisedVecEnv) -> MaskablePPO:
        policy, kwargs = HybridPolicy, {}
        if self._found is None:
            sizes = list(HIDDEN_SIZES)
            policy, kwargs = MaskableActorCriticPolicy, {"net_arch": {"pi": sizes, "vf": sizes}}
        model = MaskablePPO(
            policy,
            env,
            n_steps=self._num_samples // self._num_envs,
            batch_size=self._batch_size,
            seed=self._options.seed_of_training,
            device=self._device,
            policy_kwargs=kwargs,
            **HYPERPARAMETERS,
        )
        model.set_logger(Logger(folder=None, output_formats=[]))
        return model


def advice_costs(counters: Counters, run_s: float, num_steps: int) -> dict[str, float]:
    """Return the costs of asking over the trial so far; figures not known yet are left out.

    `llm_share` is the share of the time that trading stood still for answers.
    `steps_per_second_without_llm` leaves that time out. It flatters an asynchronous model, which
    computes while the policy does.
    """
    costs = {
        "llm_queries": float(counters.num_queries),
        "llm_batches": float(counters.num_batches),
        "llm_skipped": float(counters.num_skipped),
    }
    if counters.num_queries:
        costs["llm_cache_hits"] = counters.num_cached / counters.num_queries
    if counters.num_answers:
        costs["llm_parse_failures"] = counters.num_unparsed / counters.num_answers
        costs["llm_seconds_per_query"] = counters.busy_s / counters.num_answers
        costs["llm_tokens_per_second"] = counters.num_tokens / counters.busy_s
    if counters.age_bars is not None:
        costs["advice_age_bars"] = counters.age_bars
    if run_s > counters.waited_s:
        costs["llm_share"] = counters.waited_s / run_s
        costs["steps_per_second_without_llm"] = num_steps / (run_s - counters.waited_s)
    return costs


def _metrics(model: MaskablePPO) -> dict[str, float]:
    """Return the last update's means, and the norm of all parameters, finite if they all are."""
    values = model.logger.name_to_value
    metrics = {
        "entropy": -float(values["train/entropy_loss"]),
        "approx_kl": float(values["train/approx_kl"]),
        "policy_loss": float(values["train/policy_gradient_loss"]),
        "value_loss": float(values["train/value_loss"]),
        "clip_fraction": float(values["train/clip_fraction"]),
    }
    norms = torch.stack([parameter.detach().norm() for parameter in model.policy.parameters()])
    return metrics | {"parameter_norm": float(norms.norm())}


def _cap_threads() -> None:
    """Size torch's thread pools by the CPUs of this process; torch itself counts the host's.

    Where the kernel refuses to bind it (seccomp), OMP_NUM_THREADS alone has the cap. The inter-op
    pool has no environment variable, and cannot be changed once it has begun to work.
    """
    cap = os.environ.get("OMP_NUM_THREADS", "")
    caps = [int(cap)] if cap.isdecimal() and int(cap) else []
    torch.set_num_threads(min([len(os.sched_getaffinity(0)), *caps]))
    if torch.get_num_interop_threads() != _NUM_INTEROP_THREADS:
        torch.set_num_interop_threads(_NUM_INTEROP_THREADS)
