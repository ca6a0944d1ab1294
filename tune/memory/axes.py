"""The axes by what they do to the memory of a training, as far as their names tell. Pure."""

import functools
import re

from search_spaces.config import DEVICES, VARIABLE, Value

_SIZE = re.compile(
    r"env|step|batch|size|horizon|length|rollout|worker|buffer|hidden|width|depth|layer|seeds",
    re.IGNORECASE,
)
_COUNT_OF_PARTS = re.compile(r"batches|accumulat|splits|chunks", re.IGNORECASE)
"""The more parts, the smaller each: such an axis is no size."""

_REPETITION = re.compile(r"epoch|seed", re.IGNORECASE)
"""It does the same once more, or with other numbers. Several seeds train side by side, mostly."""


def is_size(name: str, value: object) -> bool:
    """Return whether a value is a number of which more take more memory."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and _names_size(name)


def counts_parts(name: str) -> bool:
    """Return whether an axis counts the parts of a whole, of which more take less memory.

    Devices are such, too: what is trained is divided among them.
    """
    return name == DEVICES or (not name.startswith(VARIABLE) and bool(_COUNT_OF_PARTS.search(name)))


def is_neutral(name: str, value: Value) -> bool:
    """Return whether a number changes no sizes: of epochs, or a fraction such as a learning rate.

    Where the axis names a size or parts it does: a factor of widths, say, or steps in each epoch.
    """
    if name.startswith(VARIABLE) or is_size(name, value) or counts_parts(name):
        return False
    return bool(_REPETITION.search(name)) or isinstance(value, float)


def is_ordered(name: str, value: Value) -> bool:
    """Return whether it is known which of two values of an axis takes more memory, if any.

    Of two words nobody knows.
    """
    is_known = is_size(name, value) or counts_parts(name) or is_neutral(name, value)
    return is_known and not isinstance(value, str)


@functools.cache
def _names_size(name: str) -> bool:
    if name.startswith(VARIABLE):
        return False
    return bool(_SIZE.search(name)) and not _COUNT_OF_PARTS.search(name)
