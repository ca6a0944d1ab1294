"""A search space as data: named axes with their values, and the valid configurations.

Pure. An axis has numbers, in ascending order, or words, which have no order. Searching happens in
the exponents of numbers (log2), where "half as many environments" is the same step everywhere.
"""

import bisect
import dataclasses
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from cluster.errors import UserError
from search_spaces.config import COUNTS, VARIABLE, Config, Value, config_violation, value_text
from search_spaces.expression import Expression, parse_expression

_NAME = re.compile(r"[A-Za-z_]\w*")
_LARGEST = 1_000_000
"""Combinations of values at most: all are laid out in memory, and looked at before each trial."""
_APART = 2.0
"""Doublings by which two words of an axis are apart."""


class SpaceError(UserError):
    """A space that the person asked for cannot be searched."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A name with the values it may take: numbers, ascending, or words in the order given."""

    name: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        numbers = [value for value in self.values if not isinstance(value, str)]
        if not self.values or len(set(self.values)) < len(self.values):
            raise SpaceError(f"axis {self.name} needs distinct values, got {list(self.values)}.")
        if numbers and (len(numbers) < len(self.values) or list(self.values) != sorted(numbers)):
            raise SpaceError(
                f"axis {self.name} needs numbers, ascending, or words, got {list(self.values)}."
            )
        if self.name in COUNTS and not all(type(v) is int and v > 0 for v in self.values):
            raise SpaceError(
                f"axis {self.name} needs distinct positive whole numbers, got {list(self.values)}."
            )

    @property
    def has_words(self) -> bool:
        """Return whether the values are words."""
        return isinstance(self.values[0], str)

    def coordinates(self, value: Value) -> tuple[float, ...]:
        """Return where a value lies: its log2, or, of words, a corner of its own.

        Where one of the values has no logarithm, all lie at their places among them. A person's
        baseline may be none of the values: where it alone has none, it is a doubling below them.
        """
        if isinstance(value, str):
            side = _APART / math.sqrt(2.0)
            return tuple(side if value == other else 0.0 for other in self.values)
        numbers = [number for number in self.values if not isinstance(number, str)]
        if len(numbers) < len(self.values) or numbers[0] <= 0:
            return (_place_among(numbers, value),)
        return (math.log2(value) if value > 0 else math.log2(numbers[0]) - 1.0,)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """The product of its axes, without configurations that cannot run.

    Those do not divide into minibatches, or break one of the person's rules in `requires`.
    """

    axes: tuple[Axis, ...]
    requires: tuple[Expression, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The axes' names, in order."""
        return tuple(axis.name for axis in self.axes)

    @property
    def has_words(self) -> bool:
        """Return whether any axis has words."""
        return any(axis.has_words for axis in self.axes)

    def configurations(self) -> Iterator[Config]:
        """Yield every valid configuration; the first axis varies slowest.

        Raises:
            ExpressionError: if a rule has no value for one of them.
        """
        for values in itertools.product(*(axis.values for axis in self.axes)):
            config = dict(zip(self.names, values, strict=True))
            if config_violation(config) is None and self.broken_rule(config) is None:
                yield config

    def broken_rule(self, config: Mapping[str, Value]) -> str | None:
        """Return the text of the first rule that a configuration breaks, or `None`.

        Raises:
            ExpressionError: if a rule has no value for it.
        """
        return next((rule.text for rule in self.requires if not rule.value(config)), None)

    def coordinates(self, config: Mapping[str, Value]) -> tuple[float, ...]:
        """Return the configuration's coordinates: one unit is one doubling."""
        return tuple(place for axis in self.axes for place in axis.coordinates(config[axis.name]))

    def override(self, assignments: Sequence[str], requires: Sequence[str] = ()) -> "SearchSpace":
        """Return a space with axes replaced or added by `name=8`, `name=8,16,24` or `name=8:64`.

        `requires` are further rules, as `num_envs % num_workers == 0`.

        Raises:
            SpaceError: if an assignment does not read like one of these, two are of one axis, or it
                has too many values, or none that go together.
            ExpressionError: if a rule is none.
        """
        named: dict[str, Axis] = {}
        for axis in map(parse_axis, assignments):
            if axis.name in named:
                values = dict.fromkeys(named[axis.name].values + axis.values)
                raise SpaceError(
                    f"--space names {axis.name} twice: give all of its values at once, as "
                    f"{axis.name}={_listed(values)}."
                )
            named[axis.name] = axis
        axes = {axis.name: axis for axis in self.axes} | named
        rules = (*self.requires, *map(parse_expression, requires))
        space = SearchSpace(axes=tuple(axes.values()), requires=rules)
        size = math.prod(len(axis.values) for axis in space.axes)
        if size > _LARGEST:
            raise SpaceError(
                f"--space has {size:,} combinations; {_LARGEST:,} can be searched at most: give "
                "some axes fewer values."
            )
        if next(space.configurations(), None) is None:
            raise SpaceError(space._nothing_left())
        return space

    def describe(self) -> str:
        """Return one line: each axis with its values, and the rules."""
        axes = [f"{axis.name} {_values_in_words(axis.values)}" for axis in self.axes]
        return "; ".join([*axes, *(f"require {rule.text}" for rule in self.requires)])

    def _nothing_left(self) -> str:
        without = dataclasses.replace(self, requires=())
        if self.requires and next(without.configurations(), None) is not None:
            rules = " and ".join(rule.text for rule in self.requires)
            return f"no configuration of this space meets --require {rules}: {self.describe()}."
        return (
            f"no configuration of this space divides into minibatches: {self.describe()}; "
            "batch_size must divide num_envs * num_steps for at least one combination."
        )


def _place_among(numbers: Sequence[float], value: float) -> float:
    """Return the place of a value among numbers: a share of the way between two of them, and the
    next place beyond all of them.
    """
    above = bisect.bisect_left(numbers, value)
    if above == len(numbers) or value == numbers[above]:
        return float(above)
    if above == 0:
        return -1.0
    below, over = numbers[above - 1], numbers[above]
    return above - (over - value) / (over - below)


def require_axes(assignments: Sequence[str], known: Sequence[str], *, of: str) -> None:
    """Hold the axes that a person names to those that a workload, called `of`, reads.

    Raises:
        SpaceError: naming the first that it does not read: all of its trials would be in vain.
    """
    for name in (parse_axis(assignment).name for assignment in assignments):
        if name not in known and not name.startswith(VARIABLE):
            raise SpaceError(
                f"--space {name}: {of} no such axis, only {', '.join(known)}, and variables as "
                f"{VARIABLE}NAME."
            )


def parse_axis(assignment: str) -> Axis:
    """Read `name=8`, `name=8,16,24`, `name=8:64` (doubling), `name=1e-4,3e-4` or `name=a,b`.

    Values with commas in them are parted by |. A name may be that of a variable: `env.NAME=...`.

    Raises:
        SpaceError: naming what was got and the forms.
    """
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if not (equals and _NAME.fullmatch(name.removeprefix(VARIABLE))):
        raise _not_an_axis(assignment, name if equals else "")
    if re.fullmatch(r"\s*\d+\s*:\s*\d+\s*", text):
        first, last = (parse_number(part) for part in text.split(":"))
        if not (isinstance(first, int) and isinstance(last, int) and 0 < first <= last):
            raise _not_an_axis(assignment)
        return Axis(name=name, values=doubling(first, last))
    texts = [part.strip() for part in text.split("|" if "|" in text else ",")]
    if "|" not in text and not all(texts):
        raise _not_an_axis(assignment)
    numbers = [number for part in texts if (number := parse_number(part)) is not None]
    is_exact = not name.startswith(VARIABLE) or [value_text(n) for n in numbers] == texts
    if len(numbers) < len(texts) or not is_exact:  # a variable keeps its very text
        return Axis(name=name, values=tuple(dict.fromkeys(texts)))
    if any(isinstance(number, float) for number in numbers):
        numbers = [float(number) for number in numbers]
    return Axis(name=name, values=tuple(sorted(set(numbers))))


def parse_number(text: str) -> int | float | None:
    """Return a number as people write it, or `None` where the text is a word.

    So is one that is larger than any float: nothing could be computed of it.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    try:
        return int(text)
    except ValueError:
        return number


def doubling(first: int, last: int) -> tuple[int, ...]:
    """Return `first, 2 * first, ...`, none above `last`.

    Raises:
        ValueError: if there is no such value.
    """
    if not 0 < first <= last:
        raise ValueError(f"{first}:{last}")
    values = [first]
    while values[-1] * 2 <= last:
        values.append(values[-1] * 2)
    return tuple(values)


def _not_an_axis(assignment: str, name: str = "") -> SpaceError:
    """Return the error; a `name` in a form that no axis has, as an option of a script, is told."""
    plain = "_".join(re.findall(r"\w+", name))
    if _NAME.fullmatch(plain) and not name.startswith(VARIABLE):
        return SpaceError(
            f"--space {assignment!r}: an axis is named by letters, digits and _, as {plain}; a "
            f"command takes it in braces, as in {name}={{{plain}}}."
        )
    return SpaceError(
        f"--space {assignment!r} is not an axis; write num_envs=256, num_envs=256,512, "
        "num_envs=64:1024 (doubling), lr=1e-4,3e-4 or vec_env=dummy,subproc."
    )


def _values_in_words(values: tuple[Value, ...]) -> str:
    whole = tuple(value for value in values if isinstance(value, int))
    if len(whole) == len(values) > 2 and whole[0] > 0 and whole == doubling(whole[0], whole[-1]):
        return f"{whole[0]}..{whole[-1]}"
    return _listed(values)


def _listed(values: Collection[Value]) -> str:
    return ("|" if "" in values else ",").join(map(value_text, values))


def spanned_by(configs: Sequence[Config]) -> SearchSpace:
    """Return the space of all values that configurations have, which all name the same axes."""
    values = {name: {config[name] for config in configs} for name in configs[0]}
    axes = (Axis(name=name, values=tuple(sorted(own))) for name, own in values.items())
    return SearchSpace(axes=tuple(axes))
