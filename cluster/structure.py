"""Frozen dataclasses from plain values (of YAML, TOML, JSON), with every mistake named.

Files that people edit or that arrive from other machines are checked against the types of the
dataclass that they become: nothing missing, nothing unknown, no other type, nothing out of range.
Stdlib only, pure.
"""

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

Built = TypeVar("Built")

_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a value, and the words for a value that breaks it.

    A rule that `covers_type` says its words of a value of another type, too, where the type's own
    ("must be a number") would say too little.
    """

    says: str
    holds: Callable[[Any], object]
    covers_type: bool = False


Positive = Annotated[float, Rule("must be greater than 0", lambda value: value > 0)]
NotNegative = Annotated[float, Rule("must be at least 0", lambda value: value >= 0)]
Count = Annotated[int, Rule("must be at least 0", lambda value: value >= 0)]
PositiveCount = Annotated[int, Rule("must be at least 1", lambda value: value >= 1)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_WORD and value.isprintable()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


_LONGEST_WORD = 2000
Plain = Annotated[Any, Rule("must be a number or a printable word", _is_plain)]
"""A number or a word: a value that an axis of a search may have."""


class StructureError(ValueError):
    """A value that is not what its key needs; `key` is dotted from the top."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"{key}: {problem}.")


def destructure(value: Any) -> Any:
    """Return dataclasses as dicts in the order of their fields, without what is `None`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: destructure(item) for name, item in items if item is not None}
    if isinstance(value, dict):
        return {name: destructure(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [destructure(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader of plain values into dataclasses; by default each key and value is checked.

    `ignores_unknown` passes over keys that no field has, as a newer version may write. `as_is`
    takes numbers and text as they come, NaN and Inf too: values that this program wrote itself.
    """

    ignores_unknown: bool = False
    as_is: bool = False

    def structure(self, cls: type[Built], value: Any, key: str = "") -> Built:
        """Build the dataclass `cls` from what `dataclasses.asdict` or `destructure` made of it.

        A field that is absent takes its default, or `None` where its type allows that.

        Raises:
            StructureError: naming the first key that is wrong, what it needs and what was got.
        """
        given = _mapping(value, key)
        fields = _fields(cls)  # type: ignore[arg-type]  # a class is hashable
        if not self.ignores_unknown:
            for name in sorted(given.keys() - fields.keys()):
                raise StructureError(
                    _join(key, name), f"unknown key; known are {', '.join(fields)}"
                )
        values = {}
        for name, field in fields.items():
            if name in given:
                values[name] = self.convert(field.hint, given[name], _join(key, name))
            elif field.has_default:
                continue
            elif field.allows_none:
                values[name] = None
            else:
                raise StructureError(_join(key, name), "missing")
        return cls(**values)

    def convert(self, hint: Any, value: Any, key: str) -> Any:
        """Build what the type `hint` says from a plain value.

        Raises:
            StructureError: see `structure`.
        """
        if hint is Any:
            return value
        if isinstance(hint, type):
            return self._plain(hint, value, key)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            return self._annotated(arguments[0], arguments[1:], value, key)
        if origin in {types.UnionType, typing.Union}:
            if value is None and _allows_none(hint):
                return None
            member = next(argument for argument in arguments if argument is not types.NoneType)
            return self.convert(member, value, key)
        if origin is typing.Literal:
            return _one_of(arguments, value, key)
        if origin is dict:
            of_each = arguments[1]
            items = _mapping(value, key).items()
            return {name: self.convert(of_each, item, _join(key, name)) for name, item in items}
        return origin(self._items(arguments, value, key))

    def _items(self, hints: tuple[Any, ...], value: Any, key: str) -> Iterator[Any]:
        """Yield the items of a list: all of one type, or, for a `tuple[A, B]`, each of its own."""
        if not isinstance(value, list):
            raise StructureError(key, f"must be a list, got {value!r}")
        if len(hints) == 1 or hints[-1] is Ellipsis:
            hints = hints[:1] * len(value)
        if len(value) != len(hints):
            raise StructureError(key, f"must have {len(hints)} items, got {value!r}")
        for place, (hint, item) in enumerate(zip(hints, value, strict=True)):
            yield self.convert(hint, item, f"{key}[{place}]")

    def _plain(self, hint: type, value: Any, key: str) -> Any:
        if dataclasses.is_dataclass(hint):
            return self.structure(hint, value, key)
        if issubclass(hint, enum.Enum):
            return hint(_one_of([member.value for member in hint], value, key))
        return value if self.as_is else _scalar(hint, value, key)

    def _annotated(self, hint: Any, rules: tuple[Rule, ...], value: Any, key: str) -> Any:
        try:
            converted = self.convert(hint, value, key)
        except StructureError:
            for rule in rules:
                if rule.covers_type:
                    raise StructureError(key, f"{rule.says}, got {value!r}") from None
            raise
        for rule in rules:
            if not rule.holds(converted):
                raise StructureError(key, f"{rule.says}, got {value!r}")
        return converted


structure = Reader().structure
"""Strict: for a file that a person edits, or that somebody else may have changed."""
convert = Reader().convert
"""As `structure`, for one value."""
structure_known = Reader(ignores_unknown=True).structure
"""The same for what a newer version may have written: unknown keys are passed over."""
revive = Reader(as_is=True).structure
"""For what `dataclasses.asdict` made of our own: names are checked, values are as they were."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    hint: Any
    has_default: bool
    allows_none: bool


@functools.cache
def _fields(cls: type) -> dict[str, _Field]:
    """Return the fields of a dataclass by name. To resolve their types takes some 0.1 ms."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(cls)
    return {
        field.name: _Field(
            hint=hints[field.name],
            has_default=field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING,
            allows_none=_allows_none(hints[field.name]),
        )
        for field in fields
    }


def _scalar(hint: type, value: Any, key: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not hint:  # isinstance would take True for a number
        raise StructureError(key, f"must be {_NAMES[hint]}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise StructureError(key, f"must be finite, got {value}")
    return value


def _one_of(choices: Any, value: Any, key: str) -> Any:
    if value not in choices:
        raise StructureError(key, f"must be one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise StructureError(
            key or "the whole file", f"must map names to values, got {value!r:.80}"
        )
    return value


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _allows_none(hint: Any) -> bool:
    return types.NoneType in typing.get_args(hint)
