"""How many samples a rollout has. Stdlib only, pure."""

import math
from collections.abc import Mapping

from trainables.workload import InvalidConfigurationError

MIN_ROLLOUT_SAMPLES = 3072
"""What 8, 12, 16, 24 and 32 environments and batches of 256, 512, 768 and 1024 all divide."""


def rollout_samples(config: Mapping[str, int]) -> int:
    """Samples of one rollout: the least multiple of both sizes that is not below the minimum.

    So every pair of sizes divides, and over the default space every update sees as much data: what
    differs between two configurations is how it is collected and learned from, not how much.

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
