"""Expressions over axes: their values, and what is refused."""

from typing import Any

import pytest

from search_spaces.expression import ExpressionError, parse_expression

CONFIG = {"num_envs": 64, "num_steps": 128, "batch_size": 512, "lr": 0.5, "vec": "dummy"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("num_envs * num_steps", 8192),
        ("num_envs * num_steps // batch_size", 16),
        ("num_envs * num_steps % batch_size == 0", True),
        ("-(num_envs + 2) ** 2", -4356),
        ("lr / 2", 0.25),
        ("max(num_envs, 100)", 100),
        ("int(lr * 3)", 1),
        ("vec == 'dummy' and num_envs <= 64", True),
        ("vec != 'dummy' or not num_envs < 65", False),
        ("8 <= num_envs <= 64", True),
        ("8 * 128", 1024),
    ],
)
def test_an_expression_has_the_value_that_python_gives_it(text: str, value: Any) -> None:
    assert parse_expression(text).value(CONFIG) == value


def test_an_expression_knows_its_axes() -> None:
    assert parse_expression("max(a, b) // c == 'd'").names == {"a", "b", "c"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "num_envs *",
        "num_envs = 64",
        "__import__('os').system('true')",
        "num_envs.bit_length()",
        "[num_envs]",
        "lambda: 1",
        "num_envs if lr else 2",
        "print(num_envs)",
        "max()",
        "max(num_envs, key=1)",
        "(" * 300 + ")" * 300,
        "num_envs\x00",
        "b'x'",
        "1 + " * 300 + "1",
    ],
)
def test_what_is_more_than_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="is no expression over axes: write names, numbers"):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("num_envs // 0", "has no value here"),
        ("vec * 100000000", "words are not calculated with"),
        ("num_envs ** 1000", "too large"),
        ("missing + 1", "names missing; the axes are num_envs, num_steps"),
        ("vec < 3", "has no value here"),
        ("2 ** vec", "words are not calculated with"),
    ],
)
def test_an_expression_without_a_value_says_why(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        parse_expression(text).value(CONFIG)
