"""Secrets by their names: `api_key=...` and the like are kept out of files. Stdlib only, pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
"""What stands in a file in place of a secret."""

_NAMES = re.compile(
    r"(?:^|[_.-])(?:api[_-]?key|access[_-]?key|auth|credentials?|passwd|password|secret|token)"
    r"(?:$|[_.-])",
    re.IGNORECASE,
)


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with `MASK` in place of secrets, also in mappings within."""
    return {
        name: without_secrets(value)
        if isinstance(value, Mapping)
        else MASK
        if _is_secret(name, value)
        else value
        for name, value in values.items()
    }


def masked(values: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the names of the values that are masked, as `variables.HF_TOKEN`."""
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += masked(value, f"{path}{name}.")
        elif value == MASK:
            found.append(f"{path}{name}")
    return found


def without_secret_words(words: Sequence[str]) -> list[str]:
    """Return a command line with `MASK` in place of secrets, after `=` or as the next word."""
    shown: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        is_value = bool(shown) and shown[-1].startswith("-") and _is_secret(shown[-1], word)
        if equals and _is_secret(name, value):
            shown.append(f"{name}={MASK}")
        else:
            shown.append(MASK if is_value and not word.startswith("-") else word)
    return shown


def _is_secret(name: str, value: Any) -> bool:
    """Return whether a value is secret by its name; a number of a token is its id."""
    if _NAMES.search(name.lstrip("-")) is None or isinstance(value, bool) or value is None:
        return False
    return isinstance(value, str) or "token" not in name.lower()
