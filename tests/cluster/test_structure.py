"""Plain values into dataclasses: what is taken, what is refused, and how the key is named."""

import dataclasses
import enum
import math
from typing import Annotated, Any, Literal

import pytest

from cluster.structure import (
    PositiveCount,
    Rule,
    StructureError,
    destructure,
    revive,
    structure,
    structure_known,
)


class Color(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    size: PositiveCount
    ratio: float = 0.5


Word = Annotated[str, Rule("must be a word", str.isalpha, covers_type=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: Word
    color: Color
    inner: Inner
    maybe: int | None
    mode: Literal["on", "off"] = "on"
    many: tuple[Inner, ...] = ()
    pairs: dict[str, list[tuple[str, int]]] = dataclasses.field(default_factory=dict)


GOOD: dict[str, Any] = {"name": "a", "color": "red", "inner": {"size": 2}}


def test_absent_fields_take_their_defaults_and_none_where_that_is_allowed() -> None:
    assert structure(Outer, GOOD) == Outer(
        name="a", color=Color.RED, inner=Inner(size=2), maybe=None
    )


@pytest.mark.parametrize("build", [structure, structure_known, revive])
def test_dataclasses_come_back(build: Any) -> None:
    whole = Outer(
        name="a",
        color=Color.RED,
        inner=Inner(size=2),
        maybe=3,
        mode="off",
        many=(Inner(size=1, ratio=2.0),),
        pairs={"x": [("y", 1)]},
    )
    assert build(Outer, destructure(whole)) == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"nmae": "a"},
            "nmae: unknown key; known are name, color, inner, maybe, mode, many, pairs.",
        ),
        ({"inner": {}}, "inner.size: missing."),
        ({"inner": {"size": 0}}, "inner.size: must be at least 1, got 0."),
        ({"inner": {"size": True}}, "inner.size: must be a whole number, got True."),
        ({"inner": {"size": 1, "ratio": math.nan}}, "inner.ratio: must be finite, got nan."),
        ({"many": [{"size": 1}, {"size": "2"}]}, "many[1].size: must be a whole number, got '2'."),
        ({"many": "ab"}, "many: must be a list, got 'ab'."),
        ({"pairs": {"x": [["y"]]}}, "pairs.x[0]: must have 2 items, got ['y']."),
        ({"mode": "up"}, "mode: must be one of on, off, got 'up'."),
        ({"color": "blue"}, "color: must be one of red, got 'blue'."),
        ({"name": "1"}, "name: must be a word, got '1'."),
        ({"name": 1}, "name: must be a word, got 1."),
        ({"inner": 3}, "inner: must map names to values, got 3."),
    ],
)
def test_mistake_is_named_with_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StructureError) as raised:
        structure(Outer, GOOD | changes)
    assert str(raised.value) == message
    assert raised.value.key == message.partition(": ")[0]


def test_keys_of_a_newer_version_are_passed_over_where_that_is_asked_for() -> None:
    newer = GOOD | {"mood": "good", "inner": {"size": 2, "mood": 1}}
    assert structure_known(Outer, newer) == structure(Outer, GOOD)
    with pytest.raises(StructureError, match=r"inner\.size: must be at least 1"):
        structure_known(Outer, newer | {"inner": {"size": 0}})


def test_own_values_are_taken_as_they_are() -> None:
    inner = revive(Inner, {"size": 2, "ratio": math.inf})
    assert inner.ratio == math.inf
    assert type(revive(Inner, {"size": 2, "ratio": 1}).ratio) is int
    with pytest.raises(StructureError, match="size: missing"):
        revive(Inner, {})
    with pytest.raises(StructureError, match="mood: unknown key"):
        revive(Inner, {"size": 2, "mood": 1})
