"""What the name of an axis tells of memory."""

import pytest

from search_spaces.config import Value
from tune.memory import axes


@pytest.mark.parametrize(
    ("name", "value", "kinds"),
    [
        ("num_envs", 64, "size"),
        ("hidden", 64, "size"),
        ("width_factor", 0.5, "size"),
        ("num_minibatches", 4, "parts"),
        ("grad_accumulation", 4, "parts"),
        ("num_devices", 4, "parts"),
        ("num_epochs", 4, "neutral"),
        ("seed", 1, "neutral"),
        ("num_seeds", 4, "size"),
        ("steps_per_epoch", 2048, "size"),
        ("minibatches_per_epoch", 4, "parts"),
        ("lr", 3e-4, "neutral"),
        ("remat", 1, ""),
        ("env.NUM_CHUNKS", 4, ""),
        ("env.XLA_PYTHON_CLIENT_MEM_FRACTION", 0.5, ""),
    ],
)
def test_an_axis_is_a_size_counts_parts_is_neutral_or_is_not_known(
    name: str, value: Value, kinds: str
) -> None:
    told = {
        "size": axes.is_size(name, value),
        "parts": axes.counts_parts(name),
        "neutral": axes.is_neutral(name, value),
    }
    assert " ".join(kind for kind, is_so in told.items() if is_so) == kinds
    assert axes.is_ordered(name, value) is bool(kinds)
    assert not axes.is_ordered(name, "a word")
