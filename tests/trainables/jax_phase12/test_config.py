"""The settings of PPO that a search may vary."""

import dataclasses

from search_spaces.jax_phase12 import PHASE12_AXES
from trainables.jax_phase12.config import PpoConfig


def test_the_axes_that_a_search_takes_are_those_that_ppo_has() -> None:
    assert {field.name for field in dataclasses.fields(PpoConfig)} == set(PHASE12_AXES)
