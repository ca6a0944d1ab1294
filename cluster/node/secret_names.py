"""Secrets by their names: `api_key=...` and the like are kept out of files. Stdlib only, pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

MASK = "***"
"""What stands in a file in place of a secret."""

_NAMES = re.compile(
    r"(?:^|[_.-])(?:api[_-]?key|access[_-]?key|auth|credentials?|passwd|password|secret|token)"
    r"(?:$|[_.-])",
    re.IGNORECASE,
)
_WITHIN = re.compile(r"[?&;]([^?&;=]+)=")
"""A name within a word, as in a URL's query or behind the shell's `&&`."""


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with `MASK` in place of secrets, also in mappings and lists of words."""
    return {name: _shown(name, value) for name, value in values.items()}


def masked(values: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the names of the values that are masked, as `variables.HF_TOKEN`.

    Those of words are named as `with_secret_words` does.
    """
    found: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += masked(value, f"{path}{name}.")
        elif _are_words(value):
            found += masked_words(value).values()
        elif value == MASK:
            found.append(f"{path}{name}")
    return found


def without_secret_words(words: Sequence[str]) -> list[str]:
    """Return a command line with `MASK` in place of secrets, after `=` or as the next word."""
    shown: list[str] = []
    for word in words:
        is_value = bool(shown) and shown[-1].startswith("-") and _is_secret(shown[-1], word)
        shown.append(MASK if is_value and not word.startswith("-") else _without_secret(word))
    return shown


def with_secret_words(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return a command line with `values` in place of what `without_secret_words` has masked.

    The value of `HF_TOKEN=...` is called `HF_TOKEN`, that of `--api-key` is `API_KEY`.

    Raises:
        KeyError: naming the value that is not there.
    """
    names = masked_words(words)
    return [
        word.removesuffix(MASK) + values[names[place]] if place in names else word
        for place, word in enumerate(words)
    ]


def masked_words(words: Sequence[str]) -> dict[int, str]:
    """Return the places of the words that end in `MASK`, with the names of what they hide."""
    found = {}
    for place, word in enumerate(words):
        before, equals, last = word.rpartition("=")
        if last == MASK and (equals or place):
            name = re.split(r"[?&;=]", before)[-1] if equals else words[place - 1]
            found[place] = _variable(name)
    return found


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    if _are_words(value):
        return without_secret_words(value)
    return MASK if _is_secret(name, value) else value


def _are_words(value: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)


def _variable(name: str) -> str:
    variable = re.sub(r"\W", "_", name.lstrip("-"))
    return variable.upper() if name.startswith("-") else variable


def _without_secret(word: str) -> str:
    """Return a word without the secret that it gives, as in `--env=HF_TOKEN=...`."""
    name, equals, value = word.partition("=")
    if equals and _is_secret(name, value):
        return f"{name}={MASK}"
    for within in _WITHIN.finditer(word):
        if _is_secret(within[1], word[within.end() :]):
            return word[: within.end()] + MASK
    return f"{name}={_without_secret(value)}" if equals and name.startswith("-") else word


def _is_secret(name: str, value: Any) -> bool:
    """Return whether a value is secret by its name; a number of a token is its id."""
    if _NAMES.search(name.lstrip("-")) is None or isinstance(value, bool) or value is None:
        return False
    is_number = not isinstance(value, str) or value.isdecimal()
    return not is_number or "token" not in name.lower()
