"""Memory that grows without end, told from memory that settles."""

from collections.abc import Callable

import numpy as np
import pytest

from trainables.growth import steady_growth

MIB = 2**20


def sampled(held: Callable[[float], float], num_samples: int = 60) -> list[tuple[float, int]]:
    """Samples five times a second, off by a MiB as a heap is."""
    noise = np.random.default_rng(0).normal(0.0, MIB, num_samples)
    return [(n / 5, int(held(n / 5) + noise[n])) for n in range(num_samples)]


def test_a_leak_is_its_bytes_per_second() -> None:
    assert steady_growth(sampled(lambda s: 500 * MIB + 30 * MIB * s)) == pytest.approx(
        30 * MIB, rel=0.02
    )


def test_a_leak_in_steps_is_a_leak() -> None:
    found = steady_growth(sampled(lambda s: 500 * MIB + 60 * MIB * (s // 2)))
    assert found == pytest.approx(30 * MIB, rel=0.2)


@pytest.mark.parametrize(
    "held",
    [
        lambda s: 500 * MIB,
        lambda s: 500 * MIB + 100 * MIB * (1 - np.exp(-s)),  # a cache that fills
        lambda s: 500 * MIB + 100 * MIB * (s > 6),  # one step
        lambda s: 500 * MIB + 200 * MIB * (s % 3) / 3,  # a heap that is collected
        lambda s: 500 * MIB + 0.5 * MIB * s,  # too little to be told from noise
        lambda s: 900 * MIB - 20 * MIB * s,
    ],
    ids=["even", "settles", "one step", "saw tooth", "little", "falls"],
)
def test_what_settles_is_no_leak(held: Callable[[float], float]) -> None:
    assert steady_growth(sampled(held)) is None


def test_too_few_samples_tell_nothing() -> None:
    assert steady_growth(sampled(lambda s: 30 * MIB * s, num_samples=11)) is None
