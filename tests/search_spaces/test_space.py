"""A space of configurations, and the axes that a person names."""

import pytest

from search_spaces import jax_phase12
from search_spaces.space import Axis, SearchSpace, SpaceError, parse_axis


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("num_envs=256", (256,)),
        ("num_envs=512,64", (64, 512)),
        ("num_envs=64:512", (64, 128, 256, 512)),
        ("num_envs=48:200", (48, 96, 192)),
        ("num_steps = 8,8", (8,)),
    ],
)
def test_an_axis_reads_as_a_value_a_list_or_a_doubling(text: str, values: tuple[int, ...]) -> None:
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    "text", ["num_envs", "=3", "num_envs=", "num_envs=a", "num_envs=8:4", "num_envs=0", "2x=3"]
)
def test_what_is_no_axis_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(SpaceError, match=r"num_envs|positive whole"):
        parse_axis(text)


def test_only_configurations_that_divide_into_minibatches_are_in_the_space() -> None:
    space = SearchSpace(
        axes=(
            Axis(name="num_envs", values=(2, 3)),
            Axis(name="num_steps", values=(4,)),
            Axis(name="batch_size", values=(4, 8, 16)),
        )
    )
    found = [(c["num_envs"], c["batch_size"]) for c in space.configurations()]
    assert found == [(2, 4), (2, 8), (3, 4)]


def test_an_override_replaces_one_axis_and_adds_another() -> None:
    space = jax_phase12.space(platform="cuda", num_cpus=4)
    changed = space.override(["num_envs=1024", "hidden=64,128"])
    assert {axis.name: axis.values for axis in changed.axes}["num_envs"] == (1024,)
    assert changed.names == (*space.names, "hidden")


def test_an_override_that_leaves_nothing_says_why() -> None:
    space = jax_phase12.space(platform="cpu", num_cpus=2)
    with pytest.raises(SpaceError, match="batch_size must divide"):
        space.override(["batch_size=999"])


def test_one_exponent_is_one_doubling() -> None:
    space = SearchSpace(axes=(Axis(name="a", values=(1, 64)), Axis(name="b", values=(8,))))
    assert space.exponents({"a": 64, "b": 8}) == (6.0, 3.0)
