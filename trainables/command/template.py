"""A command with braces, filled in for one configuration. Stdlib only, pure.

Braces that name an axis, or an expression over axes, are replaced; so are {trial_dir}, {seed} and
{gpu}. All other braces stay: JSON has them, and Hydra's ${...}.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from cluster.errors import UserError
from search_spaces.config import VARIABLE, Value, value_text
from search_spaces.expression import ExpressionError, parse_expression

PLACES = ("trial_dir", "seed", "gpu")
"""Names in braces that are no axes: the trial's folder, --seed, and the number of the GPU."""

_BRACES = re.compile(r"(?<!\$)\{([^{}]*)\}")
_WORD = re.compile(r"\w+")


class TemplateError(UserError):
    """A command that cannot be filled in."""


def fill(text: str, values: Mapping[str, Value]) -> str:
    """Return `text` with its braces replaced; `values` are of the axes and of `PLACES`.

    Raises:
        TemplateError: if an expression has no value for these.
    """

    def replaced(match: re.Match[str]) -> str:
        inside = match[1].strip()
        if inside in values:
            return value_text(values[inside])
        if not names_in(match[0], values):
            return match[0]
        try:
            value = parse_expression(inside).value(values)
        except ExpressionError as error:
            raise TemplateError(f"{match[0]} cannot be filled in: {error}") from error
        is_whole = isinstance(value, float) and value.is_integer()
        return value_text(int(value) if is_whole else value)

    return _BRACES.sub(replaced, text)


def names_in(text: str, names: Iterable[str]) -> set[str]:
    """Return those of `names` that the braces of `text` use, alone or in an expression."""
    known, used = set(names), set()
    for inside in (match[1].strip() for match in _BRACES.finditer(text)):
        if inside in known:
            used.add(inside)
            continue
        try:
            found = parse_expression(inside).names
        except ExpressionError:
            continue
        if found and found <= known:
            used |= found
    return used


def check(texts: Sequence[str], axes: Sequence[str]) -> None:
    """Require that the command uses every axis, under a name of its own, and misspells none.

    An axis that is a variable of the environment need not be in a brace.

    Raises:
        TemplateError: naming the brace or the axis.
    """
    plain = [axis for axis in axes if not axis.startswith(VARIABLE)]
    if taken := [axis for axis in plain if axis in PLACES]:
        raise TemplateError(
            f"--space cannot vary {taken[0]}: {{{taken[0]}}} is filled in by itself. "
            f"Give the axis another name, as my_{taken[0]}."
        )
    known = [*plain, *PLACES]
    for inside in (match[1].strip() for text in texts for match in _BRACES.finditer(text)):
        near = difflib.get_close_matches(inside, known, n=1, cutoff=0.75)
        if _WORD.fullmatch(inside) and inside not in known and near:
            raise TemplateError(
                f"the command has {{{inside}}}, which is no axis: did you mean {{{near[0]}}}? "
                f"The axes are {', '.join(plain) or 'none'}."
            )
    for axis in axes:
        name = axis.removeprefix(VARIABLE)
        if name != axis and name.islower() and not any(names_in(text, [axis]) for text in texts):
            raise TemplateError(
                f"{axis} is a variable of the environment, called {name}, and the command does not "
                f"use it. An option {axis}=... of the script stands in the command, as "
                f"{axis}={{{name}}}, and its axis is {name}: --space {name}=..."
            )
    used = set().union(*(names_in(text, known) for text in texts)) if texts else set()
    unused = [axis for axis in plain if axis not in used]
    if unused:
        raise TemplateError(
            f"the command does not use {', '.join(unused)}: write {{{unused[0]}}} where its value "
            "belongs, or take the axis out of --space."
        )
