"""Configurations are named by their sizes."""

import pytest

from search_spaces.config import (
    Config,
    adds_variables,
    config_cell,
    config_name,
    config_text,
    config_violation,
    doublings,
    is_smaller,
    per_device,
    variables_of,
    weight,
    without_variables,
)

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
        (
            {"num_envs": 8, "num_steps": 16, "batch_size": 64, "num_devices": 2},
            "8 envs x 16 steps, batch 64, 2 devices",
            "8 x 16 / 64 num_devices=2",
            "8 x 16, 2 minibatches, 2 devices",
        ),
        ({"width": 4, "depth": 2}, "width 4, depth 2", "width=4 depth=2", "width 4, depth 2"),
        (
            {"lr": 1e-4, "a": ""},
            "lr 0.0001, a (empty)",
            "lr=0.0001 a=(empty)",
            "lr 0.0001, a (empty)",
        ),
    ],
)
def test_configurations_are_named_by_their_sizes(
    config: Config, in_full: str, cell: str, sizes: str | None
) -> None:
    assert config_text(config) == in_full
    assert config_cell(config) == cell
    assert config_name(config) == (sizes or in_full)


def test_a_cell_leaves_out_what_all_trials_share() -> None:
    assert config_cell(CONFIG, fixed={"num_epochs"}) == "512 x 64 / 4096"


def test_a_violation_names_the_numbers() -> None:
    config = {"num_envs": 6, "num_steps": 10, "batch_size": 7}
    assert (
        config_violation(config)
        == "batch_size 7 does not divide num_envs * num_steps = 6 * 10 = 60."
    )


@pytest.mark.parametrize(
    ("num_devices", "violation"),
    [
        (1, None),
        (2, None),
        (4, "num_devices 4 does not divide num_envs 8 and batch_size 10."),
        (0, "num_devices 0 must be a positive whole number."),
        ("a", "num_devices a must be a positive whole number."),
    ],
)
def test_devices_share_environments_and_minibatches(
    num_devices: object, violation: str | None
) -> None:
    config = {"num_envs": 8, "num_steps": 10, "batch_size": 10, "num_devices": num_devices}
    assert config_violation(config) == violation


def test_each_device_has_its_part_of_the_sizes() -> None:
    config = {"num_envs": 8, "num_steps": 10, "batch_size": 40, "num_epochs": 4}
    assert per_device(config | {"num_devices": 4}) == config | {"num_envs": 2, "batch_size": 10}
    assert per_device(config) == config


def test_more_devices_are_not_larger_sizes() -> None:
    assert is_smaller({"num_envs": 8}, {"num_envs": 16})
    assert not is_smaller({"num_envs": 8, "num_devices": 1}, {"num_envs": 16, "num_devices": 2})


def test_axes_that_no_ppo_has_are_nobodys_violation() -> None:
    assert config_violation({"hidden": 3, "num_envs": 7}) is None


def test_sizes_that_are_no_counts_are_a_violation_and_no_exception() -> None:
    config = {"num_envs": "a", "num_steps": 10, "batch_size": 0}
    assert config_violation(config) == (
        "num_envs a, num_steps 10 and batch_size 0 must be positive whole numbers."
    )


@pytest.mark.parametrize(
    ("config", "other", "expected"),
    [
        ({"a": 8}, {"a": 2}, 2.0),
        ({"a": 0}, {"a": 4}, 1.0),
        ({"a": 0}, {"a": 0}, 0.0),
        ({"a": "x", "b": 2}, {"a": "y", "b": 1}, 2.0),
        ({"a": "x"}, {"a": "x"}, 0.0),
    ],
)
def test_another_word_is_one_step_away(config: Config, other: Config, expected: float) -> None:
    assert doublings(config, other) == expected


def test_words_weigh_nothing() -> None:
    assert weight({"num_envs": 8, "num_workers": 0, "vec": "dummy", "lr": 0.5}) == 4.0


def test_axes_that_are_variables_go_to_the_environment_alone() -> None:
    config = {"num_envs": 8, "env.OMP_NUM_THREADS": 2, "env.XLA_FLAGS": ""}
    assert variables_of(config) == {"OMP_NUM_THREADS": "2", "XLA_FLAGS": ""}
    assert without_variables(config) == {"num_envs": 8}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"num_envs": 2, "env.XLA_FLAGS": "--a"}, True),
        ({"num_envs": 2}, False),
        ({"num_envs": 4, "env.XLA_FLAGS": "--a"}, False),
        ({"num_envs": 2, "num_steps": 8}, False),
        ({"env.XLA_FLAGS": "--a"}, False),
    ],
)
def test_further_variables_are_told_from_other_values(config: Config, expected: bool) -> None:
    assert adds_variables(config, {"num_envs": 2}) == expected
