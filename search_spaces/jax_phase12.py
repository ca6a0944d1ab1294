"""The search space of JAX Phase 1 and 2, and the baseline."""

from search_spaces.space import Axis, SearchSpace, doubling

PHASE12_BASELINE = {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
"""The framework's default, 256 x 128 in 4 minibatches; speed-ups are over its speed."""

PHASE12_AXES = (*PHASE12_BASELINE, "num_devices", "matmul_precision")
"""All axes that the workload reads."""

_ENVS_PER_CPU = 512
"""On a CPU, speed hardly depends on num_envs, but one update of 16K environments takes a minute."""


def space(*, platform: str, num_cpus: int) -> SearchSpace:
    """Return the default space of a machine: 512..16384 environments on a GPU, fewer on CPUs.

    `platform` is "cpu" or "cuda"; `num_cpus` is the number of CPUs that a trial may use.
    """
    if platform == "cuda":
        num_envs, num_steps = doubling(512, 16384), doubling(32, 256)
        batch_size = doubling(2048, 131072)
    else:
        largest = min(16384, 1 << (_ENVS_PER_CPU * max(num_cpus, 1)).bit_length() - 1)
        num_envs, num_steps = doubling(64, largest), doubling(32, 128)
        batch_size = doubling(512, 16384)
    return SearchSpace(
        axes=(
            Axis(name="num_envs", values=num_envs),
            Axis(name="num_steps", values=num_steps),
            Axis(name="batch_size", values=batch_size),
            Axis(name="num_epochs", values=(PHASE12_BASELINE["num_epochs"],)),
        )
    )
