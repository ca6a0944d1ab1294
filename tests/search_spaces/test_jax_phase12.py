"""The space of JAX Phases 1 and 2, scaled to the machine."""

import pytest

from search_spaces import jax_phase12


@pytest.mark.parametrize(
    ("platform", "num_cpus", "smallest", "largest"),
    [("cuda", 4, 512, 16384), ("cpu", 1, 64, 512), ("cpu", 2, 64, 1024), ("cpu", 64, 64, 16384)],
)
def test_the_default_space_is_scaled_to_the_machine(
    platform: str, num_cpus: int, smallest: int, largest: int
) -> None:
    axis = jax_phase12.space(platform=platform, num_cpus=num_cpus).axes[0]
    assert (axis.name, axis.values[0], axis.values[-1]) == ("num_envs", smallest, largest)


def test_the_baseline_is_the_default_of_256_by_128_in_four_minibatches() -> None:
    baseline = jax_phase12.PHASE12_BASELINE
    samples = baseline["num_envs"] * baseline["num_steps"]
    assert (baseline["num_envs"], baseline["num_steps"], samples / baseline["batch_size"]) == (
        256,
        128,
        4,
    )
