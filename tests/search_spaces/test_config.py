"""Configurations are named by their sizes."""

import pytest

from search_spaces.config import config_cell, config_name, config_text, config_violation

CONFIG = {"num_envs": 512, "num_steps": 64, "batch_size": 4096, "num_epochs": 4}


@pytest.mark.parametrize(
    ("config", "in_full", "cell", "sizes"),
    [
        (
            CONFIG,
            "512 envs x 64 steps, batch 4096, 4 epochs",
            "512 x 64 / 4096 num_epochs=4",
            "512 x 64, 8 minibatches",
        ),
        (
            {"num_envs": 8, "num_steps": 16, "batch_size": 128},
            "8 envs x 16 steps, batch 128",
            "8 x 16 / 128",
            "8 x 16, 1 minibatch",
        ),
        (
            {"num_envs": 8, "num_epochs": 1},
            "1 epoch, num_envs 8",
            "num_envs=8 num_epochs=1",
            "num_envs 8, num_epochs 1",
        ),
        ({"width": 4, "depth": 2}, "width 4, depth 2", "width=4 depth=2", "width 4, depth 2"),
    ],
)
def test_configurations_are_named_by_their_sizes(
    config: dict[str, int], in_full: str, cell: str, sizes: str
) -> None:
    assert config_text(config) == in_full
    assert config_cell(config) == cell
    assert config_name(config) == sizes


def test_a_cell_leaves_out_what_all_trials_share() -> None:
    assert config_cell(CONFIG, fixed={"num_epochs"}) == "512 x 64 / 4096"


def test_a_violation_names_the_numbers() -> None:
    config = {"num_envs": 6, "num_steps": 10, "batch_size": 7}
    assert (
        config_violation(config)
        == "batch_size 7 does not divide num_envs * num_steps = 6 * 10 = 60."
    )


def test_axes_that_no_ppo_has_are_nobodys_violation() -> None:
    assert config_violation({"hidden": 3, "num_envs": 7}) is None
