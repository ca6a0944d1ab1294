"""Plain values (of YAML) into frozen dataclasses, with every mistake named. Stdlib only, pure.

A file that people edit, and that arrives from other machines, is checked against the types of the
dataclass it becomes: nothing missing, nothing unknown, nothing of another type or out of range.
"""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a value, with what to say when it does not hold."""

    says: str
    holds: Callable[[Any], bool]


Positive = Annotated[float, Rule("must be greater than 0", lambda value: value > 0)]
NotNegative = Annotated[float, Rule("must be at least 0", lambda value: value >= 0)]
Count = Annotated[int, Rule("must be at least 0", lambda value: value >= 0)]
PositiveCount = Annotated[int, Rule("must be at least 1", lambda value: value >= 1)]


class StructureError(ValueError):
    """A value is not what its key needs; `key` is dotted from the top."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"{key}: {problem}.")


def destructure(value: Any) -> Any:
    """Dataclasses into dicts in the order of their fields; what is `None` is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: destructure(item) for name, item in items if item is not None}
    if isinstance(value, dict):
        return {name: destructure(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [destructure(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def structure(cls: type[T], value: Any, key: str = "") -> T:
    """Build the dataclass `cls` from what `destructure` made of it.

    Raises:
        StructureError: naming the first key that is wrong, what it needs and what was got.
    """
    fields = _mapping(value, key)
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in sorted(fields.keys() - hints.keys()):
        raise StructureError(_join(key, name), f"unknown key; known are {', '.join(hints)}")
    values = {}
    for name, hint in hints.items():
        if name in fields:
            values[name] = convert(hint, fields[name], _join(key, name))
        elif _allows_none(hint):
            values[name] = None
        else:
            raise StructureError(_join(key, name), "missing")
    return cls(**values)


def convert(hint: Any, value: Any, key: str) -> Any:
    """Build what the type `hint` says from a plain value.

    Raises:
        StructureError: see `structure`.
    """
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _check(convert(arguments[0], value, key), arguments[1:], key)
    if origin in {types.UnionType, typing.Union}:
        member = next(argument for argument in arguments if argument is not types.NoneType)
        return None if value is None and _allows_none(hint) else convert(member, value, key)
    if origin is typing.Literal:
        return _one_of(arguments, value, key)
    if origin is dict:
        items = _mapping(value, key).items()
        return {name: convert(arguments[1], item, _join(key, name)) for name, item in items}
    if origin is tuple:
        if not isinstance(value, list):
            raise StructureError(key, f"must be a list, got {value!r}")
        return tuple(convert(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return structure(hint, value, key)
    if issubclass(hint, enum.Enum):
        return hint(_one_of([member.value for member in hint], value, key))
    return _scalar(hint, value, key)


def _scalar(hint: type, value: Any, key: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint:  # isinstance would take True for a number
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise StructureError(key, f"must be {names[hint]}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise StructureError(key, f"must be finite, got {value}")
    return value


def _check(value: Any, rules: tuple[Any, ...], key: str) -> Any:
    for rule in rules:
        if not rule.holds(value):
            raise StructureError(key, f"{rule.says}, got {value!r}")
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
