"""A space of configurations, and the axes that a person names."""

import math

import pytest

from search_spaces import jax_phase12
from search_spaces.config import Value
from search_spaces.space import Axis, SearchSpace, SpaceError, parse_axis, require_axes


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
    "text",
    [
        *("num_envs", "=3", "num_envs=", "num_envs=a", "num_envs=8:4", "num_envs=0", "2x=3"),
        *(f"num_envs={few}{'9' * digits}" for few in ("", "1:") for digits in (400, 5000)),
    ],
    ids=lambda text: str(text)[:20],
)
def test_what_is_no_axis_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(SpaceError, match=r"num_envs|positive whole"):
        parse_axis(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("data.train_batch_size=64:256", "data_train_batch_size"),
        ("num-envs=4:8", "num_envs"),
        ("--num-envs=4:8", "num_envs"),
    ],
)
def test_an_option_of_a_script_is_no_name_of_an_axis(text: str, plain: str) -> None:
    words = rf"an axis is named by letters, digits and _, as {plain}; .*=\{{{plain}\}}\."
    with pytest.raises(SpaceError, match=words):
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


@pytest.mark.parametrize(
    ("assignments", "values"),
    [
        (("n=64", "n=128"), "64,128"),
        (("m=1", "n=1:4", "n=2:8"), "1,2,4,8"),
        (("n=a", "n=a"), "a"),
    ],
)
def test_an_axis_that_is_named_twice_is_refused(assignments: tuple[str, ...], values: str) -> None:
    with pytest.raises(SpaceError, match=rf"--space names n twice: .*, as n={values}\."):
        SearchSpace(axes=()).override(assignments)


@pytest.mark.parametrize(
    ("assignments", "unknown"),
    [
        (("num_envs=8", "lr=1e-4,3e-4"), "lr"),
        (("num_env=8",), "num_env"),
        (("num_envs=8", "env.A=1,2"), None),
        ((), None),
    ],
)
def test_an_axis_that_a_workload_does_not_read_is_refused(
    assignments: tuple[str, ...], unknown: str | None
) -> None:
    known = ("num_envs", "num_steps")
    if unknown is None:
        require_axes(assignments, known, of="It has")
        return
    words = f"--space {unknown}: It has no such axis, only num_envs, num_steps, and variables as"
    with pytest.raises(SpaceError, match=words):
        require_axes(assignments, known, of="It has")


def test_more_combinations_than_can_be_laid_out_are_refused_at_once() -> None:
    space, axes = SearchSpace(axes=()), [f"{name}=1:512" for name in "abcdef"]
    assert len(space.override(axes).axes) == 6  # a million
    with pytest.raises(SpaceError, match="has 2,000,000 combinations; 1,000,000 can be searched"):
        space.override([*axes, "g=1,2"], ["g > 2"])


def test_an_override_that_leaves_nothing_says_why() -> None:
    space = jax_phase12.space(platform="cpu", num_cpus=2)
    with pytest.raises(SpaceError, match="batch_size must divide"):
        space.override(["batch_size=999"])


def test_one_unit_is_one_doubling() -> None:
    space = SearchSpace(axes=(Axis(name="a", values=(1, 64)), Axis(name="b", values=(8,))))
    assert space.coordinates({"a": 64, "b": 8}) == (6.0, 3.0)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("lr=3e-4,1e-4", "lr", (1e-4, 3e-4)),
        ("gamma=1,0.99", "gamma", (0.99, 1.0)),
        ("num_workers=0,4", "num_workers", (0, 4)),
        ("vec=subproc,dummy", "vec", ("subproc", "dummy")),
        ("compile=true,false", "compile", ("true", "false")),
        ("env.OMP_NUM_THREADS=4,1", "env.OMP_NUM_THREADS", (1, 4)),
        ("env.SEED=007,8", "env.SEED", ("007", "8")),
        ("env.XLA_FLAGS=|--xla_a=1,2", "env.XLA_FLAGS", ("", "--xla_a=1,2")),
        ("path=a:b", "path", ("a:b",)),
    ],
)
def test_an_axis_has_numbers_or_words(text: str, name: str, values: tuple[Value, ...]) -> None:
    axis = parse_axis(text)
    assert (axis.name, axis.values) == (name, values)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["a=,b", "a=1,,2", "env.=1", "env.2=1", "a-b=1", "num_steps=1.5"])
def test_words_and_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpaceError):
        parse_axis(text)


def test_words_are_all_equally_far_apart_and_have_no_order() -> None:
    axis = Axis(name="vec", values=("a", "b", "c"))
    places = [axis.coordinates(value) for value in axis.values]
    distances = {round(math.dist(one, two), 9) for one in places for two in places if one != two}
    assert distances == {2.0}


def test_numbers_without_a_logarithm_lie_at_their_places() -> None:
    axis = Axis(name="num_workers", values=(0, 4, 16))
    assert [axis.coordinates(value) for value in axis.values] == [(0.0,), (1.0,), (2.0,)]


@pytest.mark.parametrize(
    ("values", "value", "place"),
    [
        ((0, 4, 16), 1, 0.25),
        ((0, 4, 16), 10, 1.5),
        ((0, 4, 16), 64, 3.0),
        ((-1.0, -0.5), -2.0, -1.0),
        ((1, 2, 4), 0, -1.0),
        ((0.125, 0.25), 0, -4.0),
        ((0.125, 0.25), -3, -4.0),
        ((0.125, 0.25), 1, 0.0),
        ((64, 128), 0, 5.0),
        ((0,), 3, 1.0),
    ],
)
def test_a_baseline_that_is_none_of_the_values_has_a_place(
    values: tuple[float, ...], value: float, place: float
) -> None:
    assert Axis(name="num_workers", values=values).coordinates(value) == (place,)


def test_a_rule_takes_configurations_out_of_the_space() -> None:
    space = SearchSpace(axes=()).override(["n=2,3,4", "m=4,6"], ["m % n == 0"])
    assert [(c["n"], c["m"]) for c in space.configurations()] == [(2, 4), (2, 6), (3, 6), (4, 4)]
    assert space.describe() == "n 2,3,4; m 4,6; require m % n == 0"
    assert space.broken_rule({"n": 4, "m": 6}) == "m % n == 0"


def test_rules_that_leave_nothing_are_named() -> None:
    with pytest.raises(SpaceError, match=r"meets --require n > 9: n 2,3; require n > 9"):
        SearchSpace(axes=()).override(["n=2,3"], ["n > 9"])
