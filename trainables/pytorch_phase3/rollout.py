"""The number of samples in a rollout. Stdlib only, pure."""

import math
from collections.abc import Mapping

from trainables.workload import InvalidConfigurationError

MIN_ROLLOUT_SAMPLES = 3072
"""A multiple of 8, 12, 16, 24 and 32 environments and of batches of 256, 512, 768 and 1024."""


def rollout_samples(config: Mapping[str, int]) -> int:
    """Return the samples of one rollout: the least multiple of both sizes from the minimum on.

    So every pair of sizes divides, and every update of the default space sees equally many samples.
    Two configurations differ in how these are collected and learned from.

    Raises:
        InvalidConfigurationError: if a size is missing or not positive.
    """
    sizes = [config.get(name, 0) for name in ("vectorized_envs", "batch_size")]
    if min(sizes) < 1:
        raise InvalidConfigurationError(
            f"vectorized_envs and batch_size must be positive, got {dict(config)}."
        )
    step = math.lcm(*sizes)
    return step * math.ceil(MIN_ROLLOUT_SAMPLES / step)
