"""Expressions over the axes of a configuration, such as `num_envs * num_steps`. Stdlib only, pure.

They are arithmetic and comparisons alone: a person's text is never run as Python.
"""

import ast
import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import UserError
from search_spaces.config import Value

_LONGEST = 500
_LARGEST_POWER = 64

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "int": int, "round": round}


class ExpressionError(UserError):
    """A text that is no expression, or one that has no value for some configuration."""


@dataclasses.dataclass(frozen=True, slots=True)
class Expression:
    """An expression, parsed and checked. `names` are the axes that it uses."""

    text: str
    names: frozenset[str]
    _tree: ast.expr = dataclasses.field(compare=False, repr=False)

    def value(self, config: Mapping[str, Any]) -> Value | bool:
        """Return the expression's value for a configuration.

        Raises:
            ExpressionError: if it has none: an axis is missing, a division by zero, words that are
                multiplied.
        """
        try:
            value: Value | bool = _evaluate(self._tree, config)
        except KeyError as error:
            known = ", ".join(config)
            raise ExpressionError(
                f"{self.text!r} names {error.args[0]}; the axes are {known}."
            ) from error
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ExpressionError(f"{self.text!r} has no value here: {error}.") from error
        return value


def parse_expression(text: str) -> Expression:
    """Read numbers, names, words in quotes, + - * / // % **, comparisons, and, or, not, functions.

    Raises:
        ExpressionError: if the text is anything else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _no_expression(text) from error
    nodes = list(ast.walk(tree))
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if len(text) > _LONGEST or not _is_allowed(node):
            raise _no_expression(text)
    names = {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in functions}
    return Expression(text.strip(), frozenset(names), tree)


def _no_expression(text: str) -> ExpressionError:
    functions = ", ".join(f"{name}()" for name in _FUNCTIONS)
    return ExpressionError(
        f"{text!r} is no expression over axes: write names, numbers and words in quotes with + - * "
        f"/ // % **, comparisons as == and <=, and, or, not, {functions} alone."
    )


def _is_allowed(node: ast.AST) -> bool:
    match node:
        case ast.BinOp():
            return type(node.op) in _BINARY
        case ast.UnaryOp():
            return type(node.op) in _UNARY
        case ast.Compare():
            return all(type(compared) in _COMPARED for compared in node.ops)
        case ast.Call():
            is_known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
            return is_known and bool(node.args) and not node.keywords
        case ast.Constant():
            return isinstance(node.value, int | float | str)
    harmless = (ast.BoolOp, ast.Name, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
    return isinstance(node, (*harmless, ast.expr_context))


def _evaluate(node: ast.expr, config: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return config[node.id]
        case ast.BinOp():
            left, right = _evaluate(node.left, config), _evaluate(node.right, config)
            if isinstance(left, str) or isinstance(right, str):
                raise TypeError("words are not calculated with")
            if isinstance(node.op, ast.Pow) and abs(right) > _LARGEST_POWER:
                raise ValueError(f"a power of {right} is too large")
            return _BINARY[type(node.op)](left, right)
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_evaluate(node.operand, config))
        case ast.BoolOp():
            values = [bool(_evaluate(value, config)) for value in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.Compare():
            values = [_evaluate(value, config) for value in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            return all(_COMPARED[type(compared)](a, b) for compared, a, b in pairs)
        case ast.Call(func=ast.Name(id=name)):
            return _FUNCTIONS[name](*(_evaluate(item, config) for item in node.args))
    raise TypeError(f"{type(node).__name__} is not allowed")
