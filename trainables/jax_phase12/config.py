"""The settings of PPO: those that the tuner varies, and those that it leaves alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainables.jax_phase12.network import NetworkSize
from trainables.workload import InvalidConfigurationError

_PRECISIONS = (
    *("default", "bfloat16", "tensorfloat32", "float32", "high", "highest"),
    *("BF16_BF16_F32", "TF32_TF32_F32"),  # as they say; "bfloat16" is the default, TF32 on a GPU
)
"""Names that JAX has for the precision of matrix products."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PpoConfig:
    """Sizes that the tuner varies. `batch_size` is samples per gradient step.

    All are of the whole training: each of `num_devices` has its equal part of the environments and
    of every minibatch. `matmul_precision` is JAX's name for the precision of all matrix products;
    without it they have the process's default, JAX_DEFAULT_MATMUL_PRECISION.

    Raises:
        InvalidConfigurationError: if a size is below 1, batch_size does not divide the samples,
            num_devices does not divide num_envs and batch_size, or JAX has no such precision.
    """

    num_envs: int
    num_steps: int
    batch_size: int
    num_epochs: int = 4
    num_devices: int = 1
    matmul_precision: str | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if name != "matmul_precision" and value < 1:
                raise InvalidConfigurationError(f"{name} must be at least 1, got {value}.")
        if self.matmul_precision not in (None, *_PRECISIONS):
            raise InvalidConfigurationError(
                f"matmul_precision must be one of {', '.join(_PRECISIONS)}, got "
                f"{self.matmul_precision!r}."
            )
        if self.num_samples % self.batch_size:
            raise InvalidConfigurationError(
                f"batch_size {self.batch_size} does not divide num_envs * num_steps = "
                f"{self.num_envs} * {self.num_steps} = {self.num_samples}."
            )
        if self.num_envs % self.num_devices or self.batch_size % self.num_devices:
            raise InvalidConfigurationError(
                f"num_devices {self.num_devices} does not divide num_envs {self.num_envs} and "
                f"batch_size {self.batch_size}."
            )

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> "PpoConfig":
        """Build from a trial's configuration.

        Raises:
            InvalidConfigurationError: if a key is missing or would have no effect, or as above.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        required = {name for name, f in fields.items() if f.default is dataclasses.MISSING}
        if unknown := sorted(config.keys() - fields.keys()):
            raise InvalidConfigurationError(f"PPO has no {unknown}; it has {sorted(fields)}.")
        if missing := sorted(required - config.keys()):
            raise InvalidConfigurationError(f"PPO needs {missing}, got only {sorted(config)}.")
        return cls(**config)

    @property
    def num_samples(self) -> int:
        """Environment steps per update."""
        return self.num_envs * self.num_steps

    @property
    def num_minibatches(self) -> int:
        """Gradient steps per epoch."""
        return self.num_samples // self.batch_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters that the tuner leaves alone: PPO's customary values."""

    learning_rate: float = 3e-4
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip_ratio: float = 0.2
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5
    network: NetworkSize = dataclasses.field(default_factory=NetworkSize)
