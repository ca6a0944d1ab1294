"""The search space of Phase 3, and the baseline."""

from search_spaces.space import Axis, SearchSpace

PHASE3_BASELINE = {"vectorized_envs": 8, "batch_size": 256}
"""The smallest value of both axes: a safe start beside a language model."""

SPACE = SearchSpace(
    axes=(
        Axis(name="vectorized_envs", values=(8, 12, 16, 24, 32)),
        Axis(name="batch_size", values=(256, 512, 768, 1024)),
    )
)
"""All 20 pairs are valid: the rollout's length follows from both sizes, and both divide it."""

TIMESTEPS_REDUCTIONS = (0.05, 0.1, 0.15)
"""Shares of the production run that a winner may be confirmed with.

A fidelity, not an axis: more of it makes no configuration faster, but its proof stronger.
"""
